"""Options that change nothing beside others; pure Python, asked before anything heavy is imported."""

from __future__ import annotations

from typing import Any

from src.methods.b2diffurl.schedule import USED


def idle(cfg: dict[str, Any]) -> dict[str, str]:
    """The keys that this run does not read, and why."""
    method, model = cfg.get("method") or {}, cfg.get("model") or {}
    return _interval(method.get("interval") or {}) | _choice(method) | _adapter(model)


def _interval(interval: dict[str, Any]) -> dict[str, str]:
    shape = interval.get("shape", "linear")
    used = USED.get(shape, interval)
    why = f"method.interval.shape={shape} reads {' and '.join(used)}"
    return {f"method.interval.{key}": why for key in interval if key not in ("shape", *used)}


def _choice(method: dict[str, Any]) -> dict[str, str]:
    found = {}
    normaliser, rule = str(method.get("normaliser")), method.get("selection")
    if normaliser.startswith("trunk"):
        found["method.history"] = f"method.normaliser={normaliser} compares the branches of a trunk"
    if normaliser != "prompt":
        found["method.min_count"] = f"it is of method.normaliser=prompt, this is {normaliser}"
    if rule != "reference":
        why = f"method.selection={rule} keeps branches whatever their z-score"
        found |= dict.fromkeys(("method.positive_threshold", "method.negative_threshold"), why)
    if str((method.get("objective") or {}).get("_target_")).endswith(".D3PO"):
        why = "D3PO asks which of two is better, not by how much"
        found |= dict.fromkeys(("method.advantage_clip", "method.positive_weight", "method.negative_weight"), why)
    return found


def _adapter(model: dict[str, Any]) -> dict[str, str]:
    if model.get("lora_rank") != 0:
        return {}
    return dict.fromkeys(("model.lora_alpha", "model.lora_targets"), "model.lora_rank=0 trains without an adapter")
