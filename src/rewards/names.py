"""The figures that rewards give an evaluation are told apart by name alone. Pure Python."""

from __future__ import annotations

import itertools
import re
from typing import Any

from src.core.errors import describe
from src.data.shape_words import ATTRIBUTES

WORD = re.compile(r"[A-Za-z0-9_-]+")
OF_NO_ACCOUNT = ("name", "batch_size", "device", "dtype", "timeout", "retries")  # who scores is the same all the same


def problems(nodes: dict[str, dict[str, Any]]) -> list[str]:
    """Of `nodes` by their place on the command line: names that are no words, and figures that two of them have."""
    named = {where: node for where, node in nodes.items() if isinstance(node.get("name"), str)}
    found = [line for where, node in named.items() for line in word(f"{where}.name={node['name']}", node["name"])]
    for (one, node), (other, earlier) in itertools.combinations(named.items(), 2):
        shared = [figure for figure in _figures(node) if figure in _figures(earlier)]
        if shared and _scorer(node) != _scorer(earlier):
            found.append(describe(f"{one}.name={node['name']}", f"{other} has a figure {shared[0]} too, and one would "
                                  "replace the other", f"choose another name, or leave one out: ~{other}"))
    return found


def word(value: str, name: str) -> list[str]:
    """The problem of a name that can be no part of a figure's name; `value` is what was given."""
    rule = "is part of figures' names, so only letters, digits, _ and - are possible"
    return [] if WORD.fullmatch(name) else [describe(value, rule, "choose another name")]


def _figures(node: dict[str, Any]) -> list[str]:
    """What the reward's `details` are called, where it has some: eval/<figure>_after."""
    name, kind = node["name"], str(node.get("_target_")).rpartition(".")[2]
    if kind == "VerifierReward":
        return [name, "all_right", *(f"{name}_{detail}" for detail in (*ATTRIBUTES, "clean"))]
    parts = node.get("parts") if kind == "MixReward" else None
    return [name, *(f"{name}_{part}" for part in parts)] if isinstance(parts, dict) else [name]


def _scorer(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in OF_NO_ACCOUNT}
