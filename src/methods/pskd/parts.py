"""The parts that a classifier is made of, and those that it has no use for; pure Python."""

from __future__ import annotations

from typing import Any

from src.core.errors import describe
from src.methods import unasked
from src.models import kinds

NEEDED = {"model": ("src.models.classifiers.", "this is no network that classifies", "model=small_preact_resnet"),
          "data": ("src.data.images.", "these are no labelled pictures", "data=emoji")}


def problems(cfg: dict[str, Any]) -> list[str]:
    """Model and data must be there, and be a classifier's; a reward and what belongs to one must not."""
    found = [text for key in NEEDED for text in _needed(cfg.get("method") or {}, key)]
    groups = unasked.GROUPS if kinds.fits(cfg) else unasked.GROUPS[:2]  # a model that draws brings the others along
    return found + unasked.problems(cfg, "a classifier trains on labels, it asks no {}", groups)


def _needed(method: dict[str, Any], key: str) -> list[str]:
    package, kind, example = NEEDED[key]
    target = (method.get(key) or {}).get("_target_")
    if target is None:
        return [describe(f"{key}=none", "a classifier cannot do without it", f"choose {example}")]
    if target.startswith("src.") and not target.startswith(package):
        return [describe(unasked.called(key, method[key]), f"a classifier is trained here, and {kind}",
                         f"choose {example}, or take method=b2diffurl")]
    return []
