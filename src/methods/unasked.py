"""Parts that were chosen for a method that has no use for them. Pure Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from src.core.errors import describe

GROUPS = ("reward", "objective", "scorers", "measures")
FIX = "leave it out, or take method=b2diffurl"


def problems(cfg: dict[str, Any], reason: str, groups: Sequence[str] = GROUPS) -> list[str]:
    """One for each of `groups` that is not empty; `reason` has a place for the group's name."""
    return [describe(called(group, cfg[group]), reason.format(group), FIX) for group in groups if cfg.get(group)]


def called(group: str, node: dict[str, Any]) -> str:
    """As the command line calls a part: by its name, else by the file that its class is in; several by their keys."""
    if "_target_" in node:
        return f"{group}={node.get('name') or str(node['_target_']).split('.')[-2:][0]}"
    return f"{group} ({', '.join(node)})"
