"""Options that a training of the embedded model's parts has no use for; pure Python."""

from typing import Any

from src.methods import unasked


def check(cfg: dict[str, Any]) -> list[str]:
    """One message for each part that would be ignored."""
    groups = ("model", "reward", "objective") if cfg.get("model") else unasked.GROUPS  # a model brings the others along
    return unasked.problems(cfg, "this training asks no {}", groups)
