"""Options that count something: integers that must not be 0 or negative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.core.errors import Problems, describe


def check_counts(counts: Mapping[str, Any], least: int = 1, fix: str = "") -> None:
    """Raise ``Problems`` for those below ``least``; null and words such as auto pass."""
    wrong = [describe(f"{name}={value}", f"must be {least} or more", fix) for name, value in counts.items()
             if isinstance(value, int | float) and value < least]
    if wrong:
        raise Problems(wrong)
