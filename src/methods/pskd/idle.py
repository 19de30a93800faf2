"""Options that change nothing beside others; pure Python, asked before anything heavy is imported."""

from __future__ import annotations

from typing import Any


def idle(cfg: dict[str, Any]) -> dict[str, str]:
    """The keys that this run does not read, and why."""
    method = cfg.get("method") or {}
    found = {}
    if method.get("lr_schedule") == "cosine":
        found |= _of("method.lr_schedule=cosine has no milestones", "milestones", "gamma")
    if method.get("mixing") in (None, "none"):
        found |= _of("method.mixing=none mixes no pictures", "mixing_probability", "mixing_concentration")
    if method.get("optimizer") == "adamw":
        found |= _of("it is SGD's, and this is method.optimizer=adamw", "momentum", "nesterov")
    memory = (method.get("loss") or {}).get("memory")
    if memory != "topk":
        found |= _of(f"it is of method.loss.memory=topk, this is {memory}", "loss.top")
    return found


def _of(why: str, *keys: str) -> dict[str, str]:
    return {f"method.{key}": why for key in keys}
