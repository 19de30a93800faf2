"""Rules that tie the classifiers' options together; pure Python, asked before anything heavy is imported.

Types and names of options are checked elsewhere: a value of the wrong type is passed over here.
"""

from pathlib import Path
from typing import Any

from src.core import compiler, resume
from src.core.config import ranges, trainer_rules
from src.core.config.check import length, shares_weights
from src.core.config.ranges import above, at_least, is_number
from src.core.errors import UserError, describe
from src.data.images.rules import share_problem
from src.methods.pskd import parts
from src.methods.pskd.idle import idle as idle

METHOD = {
    "epochs": at_least(1, "the paper takes 300 for CIFAR"),
    "batch_size": at_least(2, "batch normalisation needs two pictures; the paper takes 128"),
    "eval_batch": at_least(1, "as many pictures as fit into memory without gradients"),
    "lr": above(0, "the paper takes 0.1 with SGD; 1e-4 is usual with AdamW"),
    "momentum": at_least(0, "the paper takes 0.9", below=1),
    "weight_decay": at_least(0, "the paper takes 5e-4"),
    "gamma": above(0, "the paper takes 0.1", at_most=1),
    "warmup_epochs": at_least(0, "0 is none"),
    "mixing_probability": at_least(0, "it is the share of batches that are mixed", at_most=1),
    "mixing_concentration": above(0, "1 draws every share alike"),
    "ema_decay": above(0, "null is no average, 0.999 a usual one", below=1),
    "hardest": at_least(1, "48 fill a page", at_most=400),
}
LOSS = {
    "alpha": at_least(0, "it is the weight of past predictions in the last epoch; the paper takes 0.8", at_most=1),
    "smoothing": at_least(0, "0 is none, 0.1 is usual", below=1),
    "temperature": above(0, "CS-KD takes 4, TF-KD 20"),
    "weight": at_least(0, "CS-KD takes 1, TF-KD 0.1"),
    "correct": above(0, "TF-KD takes 0.99", below=1),
    "top": at_least(1, "10 keep most of the mass"),
}
PRECISIONS = ("32", "32-true", "bf16", "bf16-mixed", "16", "16-mixed")


def check(cfg: dict[str, Any]) -> list[str]:
    """Everything that contradicts in `cfg["method"]`, one message each: value, rule, fix."""
    method = cfg.get("method") or {}
    loss = method.get("loss") or {}
    found = ranges.problems("method", method, METHOD) + ranges.problems("method.loss", loss, LOSS)
    found += parts.problems(cfg) + _milestones(method) + _mixing(method, loss)
    found += compiler.problems("method.compile", method.get("compile"), (cfg.get("trainer") or {}).get("accelerator"))
    found += _graphs(method, cfg.get("trainer") or {}) + _nesterov(method) + length(cfg, "epochs") + _precision(cfg)
    found += _whole_training(method, cfg.get("trainer") or {}) if cfg.get("mode") == "train" else []
    return found + _teacher(cfg.get("mode"), loss) + _modes(cfg) + _devices(cfg)


def _teacher(mode: Any, loss: dict[str, Any]) -> list[str]:
    """TF-KD's, told before the data is loaded; an evaluation asks none."""
    if mode != "train" or not isinstance(teacher := loss.get("teacher"), str):
        return []
    try:
        resume.evaluated(teacher, Path(str(loss.get("output_dir") or "outputs")), key="method.loss.teacher")
        return []
    except UserError as error:
        return error.lines()


def _milestones(method: dict[str, Any]) -> list[str]:
    shares = method.get("milestones")
    if not isinstance(shares, list) or not all(isinstance(item, int | float) for item in shares):
        return []
    if shares == sorted(shares) and all(0 < item < 1 for item in shares):
        return []
    return [describe(f"method.milestones={shares}", "must be shares of the run, rising, between 0 and 1",
                     "the paper's 150 and 225 of 300 epochs are [0.5, 0.75]")]


def _whole_training(method: dict[str, Any], trainer: dict[str, Any]) -> list[str]:
    """Schedules end with the last epoch: the learning rate has risen, and a_t has reached alpha."""
    found, warm, epochs = [], method.get("warmup_epochs"), method.get("epochs")
    whole = f"method.epochs={epochs}"
    if is_number(warm) and is_number(epochs) and warm >= epochs >= 1:
        found.append(describe(f"method.warmup_epochs={warm}", f"must be below method.epochs={epochs}",
                              "the learning rate would never fall"))
    if trainer.get("max_steps") not in (None, -1):
        found.append(describe(f"trainer.max_steps={trainer['max_steps']}", f"the schedules run over {whole}",
                              "set method.epochs to train more or less"))
    if trainer.get("max_time") is not None:
        found.append(describe(f"trainer.max_time={trainer['max_time']}", f"the schedules run over {whole}, and a run "
                              "that time ends before could not be continued", "set method.epochs; a run that is "
                              "stopped (SIGTERM, Ctrl-C) goes on with resume=auto"))
    if trainer.get("limit_train_batches") == 0:
        found.append(describe("trainer.limit_train_batches=0", "nothing would be trained",
                              "leave it out, or use mode=eval"))
    return found


def _graphs(method: dict[str, Any], trainer: dict[str, Any]) -> list[str]:
    """A graph writes its gradients where those of the batch before still lie, waiting to be added up."""
    batches = trainer.get("accumulate_grad_batches")
    if method.get("compile") != compiler.GRAPHS or batches in (None, 1):
        return []
    return [describe(f"method.compile=graphs with trainer.accumulate_grad_batches={batches}",
                     "a CUDA graph overwrites the gradients of the batch before", "use method.compile=true")]


def _nesterov(method: dict[str, Any]) -> list[str]:
    if method.get("optimizer") != "adamw" and method.get("nesterov") is True and method.get("momentum") == 0:
        return [describe("method.nesterov=true with method.momentum=0", "Nesterov's step needs momentum",
                         "use method.nesterov=false, or momentum 0.9")]
    return []


def _mixing(method: dict[str, Any], loss: dict[str, Any]) -> list[str]:
    """What a mixed picture yields is nobody's prediction: memories of rows need batches that are not mixed."""
    if method.get("mixing") in (None, "none"):
        return []
    target, memory = str(loss.get("_target_")), loss.get("memory")
    if target.endswith(".CSKD"):
        return [describe(f"method.mixing={method['mixing']}", "CS-KD compares two pictures of one class, and a mixed "
                         "one has two", "use method.mixing=none, or another method")]
    if memory not in (None, "snapshot") and method.get("mixing_probability") == 1:
        return [describe(f"method.mixing_probability=1 with method.loss.memory={memory}",
                         "rows are only written for pictures that are not mixed, so none ever would be",
                         "use method.loss.memory=snapshot, or a probability below 1")]
    return []


def _precision(cfg: dict[str, Any]) -> list[str]:
    """In half precision throughout, an average of weights stands still; but in float32, a teacher fits no picture."""
    given = (cfg.get("trainer") or {}).get("precision")
    if given is None or str(given) in PRECISIONS:
        return []
    return [describe(f"trainer.precision={given}", f"is none of {', '.join(PRECISIONS)}: a classifier's weights, "
                     "averages and past predictions stay in float32", "for speed take bf16-mixed")]


def _modes(cfg: dict[str, Any]) -> list[str]:
    if cfg.get("mode") == "protocol":
        return [describe("mode=protocol", "compares pictures that models draw", "use mode=eval, or method=b2diffurl")]
    if cfg.get("mode") == "sample":
        return [describe("mode=sample", "a classifier draws no pictures", "use mode=eval, or method=b2diffurl")]
    return []


def _devices(cfg: dict[str, Any]) -> list[str]:
    """Devices that are not counted yet are asked for their share of a batch when the training begins."""
    trainer, size = cfg.get("trainer") or {}, (cfg.get("method") or {}).get("batch_size")
    if shares_weights(trainer):
        return [describe("trainer=fsdp", "a classifier's weights are not shared, but copied", "use trainer=gpu")]
    processes = trainer_rules.processes(trainer)
    if cfg.get("mode") != "train" or not isinstance(size, int) or size < 1 or processes is None:
        return []
    return share_problem(size, processes)
