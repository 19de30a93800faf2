"""Options that were typed but change nothing. They are told, not refused: a sweep may vary what makes them idle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from src.core.config import words
from src.core.config.check import load_rules, rule_files


def told(cfg: dict[str, Any], overrides: Sequence[str]) -> Iterator[str]:
    """One line each. Each part's ``check.py`` may have a function ``idle``, which gives keys and why they are not read.

    Recipes and defaults are passed over: they are written for more than one run.
    """
    typed = {words.key(text): text for text in overrides}
    for file in rule_files(cfg):
        for key, why in getattr(load_rules(file), "idle", lambda _: {})(cfg).items():
            if key in typed:
                yield f"{typed[key]} changes nothing: {why}"
