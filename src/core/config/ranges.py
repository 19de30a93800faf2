"""Which numbers an option takes, and the one wording of what is wrong with others. Pure Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.core.errors import describe


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`, each end with it or not; `hint` is the fix that is told."""

    low: float
    with_low: bool
    high: float
    with_high: bool
    hint: str

    def __contains__(self, value: float) -> bool:
        ends = (self.with_low and value == self.low) or (self.with_high and value == self.high)
        return self.low < value < self.high or ends  # infinity is not below an end that is not there, NaN is nowhere

    def __str__(self) -> str:
        words = [f"{'at least' if self.with_low else 'above'} {self.low:g}"]
        words += [f"{'at most' if self.with_high else 'below'} {self.high:g}"] if self.high < math.inf else []
        return " and ".join(words)


def at_least(low: float, hint: str = "", *, at_most: float | None = None, below: float | None = None) -> Range:
    """From `low` on, to `at_most` (with it) or `below` (without it)."""
    return Range(low, True, *_end(at_most, below), hint)


def above(low: float, hint: str = "", *, at_most: float | None = None, below: float | None = None) -> Range:
    """More than `low`, to `at_most` (with it) or `below` (without it)."""
    return Range(low, False, *_end(at_most, below), hint)


def is_number(value: Any) -> bool:
    """Whether it is a number; `true` and `false` are none here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def problems(where: str, options: Mapping[str, Any], ranges: Mapping[str, Range]) -> list[str]:
    """A message for each number that lies outside its range; what is no number is for others to judge."""
    return [describe(f"{where}.{name}={value}", f"must be {wanted}", wanted.hint) for name, wanted in ranges.items()
            if is_number(value := options.get(name)) and value not in wanted]


def _end(at_most: float | None, below: float | None) -> tuple[float, bool]:
    return (at_most, True) if at_most is not None else (math.inf if below is None else below, False)
