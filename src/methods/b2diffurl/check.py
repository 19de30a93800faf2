"""Rules that tie the method's options together; pure Python, asked before anything heavy is imported.

Types and names of options are checked elsewhere: a value of the wrong type is passed over here.
"""

import math
from typing import Any

from src.core import compiler
from src.core.config import ranges
from src.core.config.check import length
from src.core.config.ranges import above, at_least, is_number
from src.core.errors import describe, did_you_mean
from src.methods.b2diffurl import schedule
from src.methods.b2diffurl.checks import devices, fits, readable
from src.methods.b2diffurl.checks.idle import idle as idle
from src.methods.b2diffurl.measures import check as measures
from src.methods.b2diffurl.objectives import rules

RANGES = {
    "stages": at_least(1, "the reference takes 100"),
    "prompts_per_stage": at_least(1, "the reference takes 256 trunks a stage"),
    "branches": at_least(1, "1 is sampling without branches"),
    "steps": at_least(1, "the reference takes 20 denoising steps"),
    "inner_epochs": at_least(1, "the reference takes 2"),
    "samples_per_update": at_least(1, "the reference takes 128 samples per optimiser step"),
    "micro_batch": at_least(1, "as many (sample, step) pairs as fit into memory with their gradients"),
    "rollout_batch": at_least(1, "as many pictures as fit into memory without gradients"),
    "eval_prompts": at_least(1, "prompts of each split in an evaluation"),
    "eval_images": at_least(1, "pictures per prompt in an evaluation; diversity needs 2"),
    "curve_images": at_least(1, "pictures per prompt in the evaluations of the curve"),
    "eval_every": at_least(1, "more than stages is never"),
    "history": at_least(0, "0 compares within a stage, the reference takes 8"),
    "min_count": at_least(1, "1 compares with the prompt's own rewards only, DDPO takes 16"),
    "std_floor": at_least(0, "it is a share of the rewards' standard deviation"),
    "guidance_scale": at_least(0, "1 is no guidance, the reference takes 5"),
    "guidance_rescale": at_least(0, "it is a share, 0 is none, Lin et al. take 0.7", at_most=1),
    "eta": above(0, "1 is DDPM's noise and the reference; at 0 a step is no random action and has no probability",
                 at_most=1),
    "advantage_clip": above(0, "null is no clip, the reference takes 5"),
    "positive_weight": at_least(0, "0 leaves positive samples out"),
    "negative_weight": at_least(0, "0 leaves negative samples out"),
    "lr": above(0, "the reference takes 1e-4"),
    "weight_decay": at_least(0, "the reference takes 1e-4"),
    "grad_clip": above(0, "null is no clip, the reference takes 1"),
}


def check(cfg: dict[str, Any]) -> list[str]:
    """Everything that contradicts in `cfg["method"]`, one message each: value, rule, fix."""
    method = cfg.get("method") or {}
    found = _parts(method) + ranges.problems("method", method, RANGES)
    found += compiler.problems("method.compile", method.get("compile"))
    found += _rescale(method) + _betas(method) + _interval(method) + _normaliser(method)
    found += _thresholds(method) + _weights(method) + rules.problems(method) + fits.problems(cfg)
    found += length(cfg, "stages") + _whole_evaluations(cfg.get("trainer") or {}) + _by_hand(cfg.get("trainer") or {})
    return found + devices.problems(cfg) + measures.problems(cfg) + readable.problems(cfg)


def _parts(method: dict) -> list[str]:
    """A part that was switched off (`data=none`) is an empty node."""
    if str((method.get("model") or {}).get("_target_")).startswith("src.models.classifiers."):
        return [describe(f"model={method['model'].get('name')}", "B2-DiffuRL trains a Stable Diffusion, this is a "
                         "classifier", "add method=pskd, or choose model=tiny_sd")]  # which brings the data along
    groups = {"model": "model", "prompts": "data", "reward": "reward", "objective": "objective"}
    missing = [group for name, group in groups.items() if name in method and not method[name]]
    found = [describe(f"{group}=none", "this method cannot do without it", f"choose {group}=...") for group in missing]
    if str((method.get("prompts") or {}).get("_target_")).startswith("src.data.images."):
        found.append(describe("data", "B2-DiffuRL trains on prompts, these are labelled pictures",
                              "add method=pskd, or choose data=shapes"))
    return found


def _whole_evaluations(trainer: dict[str, Any]) -> list[str]:
    """Diversity compares the pictures of a prompt, of which a part of the batches has not all."""
    limits = {name: trainer.get(name) for name in ("limit_val_batches", "limit_test_batches")}
    return [describe(f"trainer.{name}={value}", "an evaluation is drawn as a whole",
                     f"set trainer.{name}=null, and method.eval_prompts and method.eval_images to draw less")
            for name, value in limits.items() if value is not None and not (isinstance(value, float) and value == 1)]


def _by_hand(trainer: dict[str, Any]) -> list[str]:
    """This method steps its optimiser itself, and Lightning has no part in it."""
    steps, clip = trainer.get("accumulate_grad_batches"), trainer.get("gradient_clip_val")
    found = []
    if is_number(steps) and steps != 1:
        found.append(describe(f"trainer.accumulate_grad_batches={steps}", "B2-DiffuRL accumulates by itself",
                              "leave it at 1 and set method.samples_per_update, or method.micro_batch to save memory"))
    if is_number(clip) and clip > 0:
        found.append(describe(f"trainer.gradient_clip_val={clip}", "B2-DiffuRL clips gradients by itself",
                              f"leave it null and set method.grad_clip={clip}"))
    return found


def _rescale(method: dict) -> list[str]:
    share, scale = method.get("guidance_rescale"), method.get("guidance_scale")
    if is_number(share) and 0 < share <= 1 and is_number(scale) and scale <= 1:
        return [describe(f"method.guidance_rescale={share} with method.guidance_scale={scale}",
                         "there is no guidance to rescale", "set method.guidance_rescale=0")]
    return []


def _betas(method: dict) -> list[str]:
    betas = method.get("betas")
    if not isinstance(betas, list | tuple) or all(not is_number(beta) or 0 <= beta < 1 for beta in betas):
        return []
    return [describe(f"method.betas={list(betas)}", "both lie in [0, 1)", "the reference takes [0.9,0.999]")]


def _interval(method: dict) -> list[str]:
    given, stages, steps = method.get("interval"), method.get("stages"), method.get("steps")
    if not isinstance(given, dict) or not all(isinstance(value, int) and value > 0 for value in (stages, steps)):
        return []
    known = ("shape", "start", "end", "values")
    found = [
        describe(f"method.interval.{key}", "there is no such option", did_you_mean(str(key), known))
        for key in given
        if key not in known
    ]
    options = {key: value for key, value in given.items() if key in known}
    return found + schedule.problems(stages=stages, steps=steps, prefix="method.interval.", **options)


def _normaliser(method: dict) -> list[str]:
    kind = method.get("normaliser")
    if method.get("branches") != 1:
        return []
    if kind in ("trunk", "trunk_center"):
        rule = "a trunk's only branch has no siblings to compare with"
        fix = "set method.branches to 2 or more, or method.normaliser=prompt"
        return [describe(f"method.normaliser={kind} with method.branches=1", rule, fix)]
    if method.get("prompts_per_stage") == 1 and method.get("history") == 0:
        value = "method.prompts_per_stage=1 with method.branches=1 and method.history=0"
        return [describe(value, "a stage's only reward has nothing to compare with", "raise any of the three")]
    return []


def _thresholds(method: dict) -> list[str]:
    low, high = method.get("negative_threshold"), method.get("positive_threshold")
    if method.get("selection") != "reference" or not (is_number(low) and is_number(high)):
        return []
    value = f"method.negative_threshold={low} with method.positive_threshold={high}"
    if not low <= high:
        rule = "the same branch would be both a good and a bad example"
        return [describe(value, rule, "lower the negative one; the reference takes -0.5 and 0.5")]
    branches = method.get("branches")
    if method.get("normaliser") != "trunk" or not isinstance(branches, int) or branches < 2:
        return []
    limit = math.sqrt(branches - 1)  # of a z-score among that many values
    if high > limit and low < -limit:
        rule = f"a z-score among {branches} siblings stays within +-{limit:.2f}, so nothing would train"
        return [describe(value, rule, "bring them nearer to 0, or add branches")]
    return []


def _weights(method: dict) -> list[str]:
    if method.get("positive_weight") == 0 and method.get("negative_weight") == 0:
        value = "method.positive_weight=0 with method.negative_weight=0"
        return [describe(value, "nothing would train", "the reference takes 1 for both")]
    return []
