"""Everything that can be known before torch is imported: names, types, and each part's own rules."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from src.core.config import arguments, signature, trainer_rules
from src.core.config.source import TargetError, locate
from src.core.errors import Problems, UserError, describe, did_you_mean, subject
from src.core.places import ROOT

if TYPE_CHECKING:
    from src.core.config.origin import Origin

ALLOWED = ("src.", "tests.", "lightning.", "torch.", "torchvision.", "torchmetrics.", "timm.", "transformers.",
           "diffusers.")
PARTS = ("models", "data", "rewards")
MODES = ("train", "eval", "protocol", "sample")
RUN_KEYS: dict[str, tuple[tuple[type, ...], str]] = {
    "seed": ((int,), "a whole number"),
    "mode": ((str,), "train, eval, protocol or sample"),
    "name": ((str, int, type(None)), "text"),
    "output_dir": ((str,), "a folder"),
    "run_dir": ((str, type(None)), "a folder"),
    "resume": ((str, type(None)), "auto or a run folder"),
    "ckpt": ((str, list, type(None)), "a checkpoint file, a run folder or latest; of mode=protocol also a list"),
    "card_gb": ((int, float, type(None)), "the memory of a card in GB"),
    "jobs": ((int, str, type(None)), "the number of jobs at a time, or auto"),
    "sweep_dir": ((str, type(None)), "a folder"),
    "optimized_metric": ((str, type(None)), "a figure of metrics.json or a column of metrics.csv"),
    "optimized_direction": ((str, type(None)), "maximize or minimize"),
    "prompts": ((list, type(None)), "a list, as in prompts='[\"a red circle\"]'"),
}


def check(cfg: dict[str, Any], earlier: Sequence[str] = (), origin: Origin | None = None) -> None:
    """Raise ``Problems`` with all of them at once, ``earlier`` ones first, if this configuration cannot run."""
    found = run_level(cfg) + trainer_rules.problems(cfg.get("trainer") or {})
    seen: list[dict[str, Any]] = []
    for path, node in targets(cfg):
        if node not in seen:  # method.model is an interpolation of model: one fault, one line
            found += check_target(path, node, origin)
            seen.append(node)
    problems = _more(list(earlier), list({subject(line): line for line in found}.values()))
    problems = _more(problems, cross_field(cfg, tolerant=bool(problems)))
    if problems:
        raise Problems(problems)


def _more(problems: list[str], found: Sequence[str]) -> list[str]:
    """Both, without what was found about a key that has a problem already: its value is not what was meant."""
    known = {subject(line) for line in problems}
    return problems + [line for line in found if subject(line) not in known]


def run_level(cfg: dict[str, Any]) -> list[str]:
    """Problems of the keys at the top of config.yaml."""
    problems = [describe(f"{key}={cfg.get(key)}", f"must be {rule}") for key, (kinds, rule) in RUN_KEYS.items()
                if not isinstance(cfg.get(key), kinds) or isinstance(cfg.get(key), bool)]
    if isinstance(cfg.get("seed"), int) and not 0 <= cfg["seed"] < 2**32:
        problems.append(describe(f"seed={cfg['seed']}", "must lie in [0, 2^32)", "take 0, 1, 2, ..."))
    if not (cfg.get("method") or {}).get("_target_"):
        problems.append(describe("method", "no method was chosen", "add method=<name>"))
    return problems + _mode(cfg) + _ckpt(cfg) + _jobs(cfg.get("jobs"))


def _mode(cfg: dict[str, Any]) -> list[str]:
    mode, prompts = cfg.get("mode"), cfg.get("prompts")
    if isinstance(mode, str) and mode not in MODES:
        return [describe(f"mode={mode}", "there is no such mode", did_you_mean(mode, MODES))]
    if mode == "sample" and not prompts:
        return [describe(f"prompts={arguments.shown(prompts)}", "mode=sample needs prompts", "add prompts='[\"...\"]'")]
    return []


def _ckpt(cfg: dict[str, Any]) -> list[str]:
    ckpt, mode = cfg.get("ckpt"), cfg.get("mode")
    found = []
    if isinstance(ckpt, list) and mode != "protocol":
        found.append(describe(f"ckpt={ckpt}", "only mode=protocol takes several", "give one"))
    if mode == "train" and ckpt is not None:
        found.append(describe(f"ckpt={ckpt}", "is for mode=eval, mode=protocol and mode=sample",
                              "to go on with a run, write resume=auto or resume=<its folder>"))
    return found


def _jobs(jobs: Any) -> list[str]:
    if isinstance(jobs, str) and jobs != "auto":
        return [describe(f"jobs={jobs}", f"must be {RUN_KEYS['jobs'][1]}", "write jobs=2, say")]
    if isinstance(jobs, int) and jobs < 1:
        return [describe(f"jobs={jobs}", "must be 1 or more",
                         "it is the number of jobs at a time; auto is one for each GPU")]
    return []


def targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dict with a ``_target_`` and its dotted path, outer ones first."""
    if isinstance(node, dict):
        if node.get("_target_") is not None:
            yield path, node
        for key, child in node.items():
            yield from targets(child, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from targets(child, f"{path}[{index}]")


def check_target(path: str, node: dict[str, Any], origin: Origin | None = None) -> list[str]:
    """Problems of one node: a target that is not there, unknown or missing keys, wrong types."""
    target = node["_target_"]
    if not isinstance(target, str) or not target.startswith(ALLOWED):
        return [describe(f"{path}._target_={target}", f"must start with one of {', '.join(ALLOWED)}")]
    try:
        known = signature.read(target)
    except TargetError as error:
        return [describe(f"{path}._target_={target}", str(error))]
    return [] if known is None else arguments.problems(path, node, known, origin)


def cross_field(cfg: dict[str, Any], tolerant: bool) -> list[str]:
    """Ask each part's own ``check.py``. ``tolerant``: values are known to be wrong, so its crash means nothing."""
    problems: list[str] = []
    for file in rule_files(cfg):
        try:
            problems += load_rules(file).check(cfg)
        except UserError as error:
            problems += error.lines()
        except Exception:
            if not tolerant:
                raise
    return problems


def rule_files(cfg: dict[str, Any]) -> list[Path]:
    """``check.py`` beside the method and in ``src/models``, ``src/data``, ``src/rewards``, where there is one."""
    folders = [ROOT / "src" / part for part in PARTS]
    target = (cfg.get("method") or {}).get("_target_")
    if isinstance(target, str) and target.startswith(ALLOWED):
        with contextlib.suppress(TargetError):
            folders.insert(0, locate(target)[0].parent)
    return [folder / "check.py" for folder in folders if (folder / "check.py").is_file()]


def load_rules(file: Path) -> ModuleType:
    """A file, loaded by path: importing its package could import torch."""
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts) + "__rules"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def length(cfg: dict[str, Any], key: str) -> list[str]:
    """A method's schedules run over `method.<key>` epochs: the trainer must not stop elsewhere, or go on."""
    most, planned = (cfg.get("trainer") or {}).get("max_epochs"), (cfg.get("method") or {}).get(key)
    if not isinstance(most, int) or not isinstance(planned, int) or most == planned:
        return []
    return [describe(f"trainer.max_epochs={most}", f"the schedules run over method.{key}={planned}",
                     f"set method.{key}={most} instead" if most > 0 else f"set method.{key} to train more or less, "
                     "1 or more")]


def shares_weights(trainer: dict[str, Any]) -> bool:
    """Whether the strategy is that of trainer=fsdp."""
    strategy = trainer.get("strategy")
    return isinstance(strategy, dict) and strategy.get("_target_") == "src.core.processes.sharding.ShardedStrategy"
