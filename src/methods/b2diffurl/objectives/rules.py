"""What an objective asks of the method and the model; pure Python, asked before anything heavy is imported."""

from __future__ import annotations

from typing import Any

from src.core.config import ranges
from src.core.config.ranges import above, at_least, is_number
from src.core.errors import describe

RANGES = {
    "clip_range": above(0, "presets take 0.1 and 0.0001", below=1),
    "kl_weight": at_least(0, "0 is no KL, DPOK takes 0.01"),
    "beta": above(0, "the reference takes 0.1"),
}
PREFERENCE = ("D3PO",)  # classes that compare a winner with a loser


def problems(method: dict[str, Any]) -> list[str]:
    """Everything that contradicts `method["objective"]`, one message each: value, rule, fix."""
    objective = method.get("objective")
    if not isinstance(objective, dict):
        return []
    found = ranges.problems("objective", objective, RANGES)
    return found + _reference(method, objective) + _couples(method, objective)


def _name(objective: dict[str, Any]) -> str:
    return str(objective.get("_target_", "")).rpartition(".")[2]


def _reference(method: dict[str, Any], objective: dict[str, Any]) -> list[str]:
    """The pretrained policy is the one with its adapter off; a UNet that is trained as a whole has none."""
    model = method.get("model")
    if not isinstance(model, dict) or model.get("lora_rank") != 0:
        return []
    if _name(objective) in PREFERENCE:
        return [describe(f"model.lora_rank=0 with objective={_name(objective).lower()}",
                         "the whole UNet is trained, so no pretrained policy is left to compare with",
                         "use model.lora_rank=4 or more, or objective=ddpo")]
    kl_weight = objective.get("kl_weight")
    if not is_number(kl_weight) or kl_weight <= 0:
        return []
    return [describe(f"model.lora_rank=0 with objective.kl_weight={kl_weight}",
                     "the whole UNet is trained, so no pretrained policy is left to measure a KL to",
                     "use model.lora_rank=4 or more, or objective.kl_weight=0")]


def _couples(method: dict[str, Any], objective: dict[str, Any]) -> list[str]:
    name = _name(objective)
    if name not in PREFERENCE:
        return []
    found = []
    if method.get("branches") == 1:
        found.append(describe(f"method.branches=1 with objective={name.lower()}",
                              "a trunk's only branch has no sibling to be preferred to",
                              "set method.branches=2 or more, or take method=d3po"))
    for key in ("micro_batch", "samples_per_update"):
        value = method.get(key)
        if isinstance(value, int) and value > 0 and value % 2:
            found.append(describe(f"method.{key}={value} with objective={name.lower()}",
                                  "a winner and its loser stay together, so it must be even", f"take {value + 1}"))
    return found
