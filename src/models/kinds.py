"""Networks that classify, and models that draw: a method takes one of the two kinds. Pure Python."""

from __future__ import annotations

from typing import Any

from src.core.config import asks

# The class that a method names -> the ends of the targets that are of its kind.
_KINDS = {"Network": (".Network",), "DiffusionModel": (".DiffusionModel", ".StableDiffusionXL")}


def fits(cfg: dict[str, Any]) -> bool:
    """Whether the method takes a model of the chosen one's kind. If not, the method's own check says so, and
    reporting missing weights would only distract."""
    if not asks.takes(cfg, "model"):
        return False
    target, wanted = str((cfg.get("model") or {}).get("_target_")), asks.kind_of(cfg, "model")
    kind = next((name for name, ends in _KINDS.items() if target.endswith(ends)), None)
    return kind is None or wanted not in _KINDS or kind == wanted
