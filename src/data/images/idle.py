"""Options of folders of pictures that change nothing beside others; imports nothing heavy."""

from __future__ import annotations

from typing import Any

OF_MEMORY = ("pad", "fill")
OF_STREAM = ("jitter", "min_scale", "workers")


def idle(cfg: dict[str, Any]) -> dict[str, str]:
    """The keys that this run does not read, and why."""
    data = cfg.get("data") or {}
    if not str(data.get("_target_")).endswith(".image_folder"):
        return {}
    kept = bool(data.get("in_memory"))
    why = f"it is of pictures that are {'read anew in each epoch' if kept else 'kept in memory'}, and this is " \
          f"data.in_memory={str(kept).lower()}"
    return {f"data.{key}": why for key in (OF_STREAM if kept else OF_MEMORY)}
