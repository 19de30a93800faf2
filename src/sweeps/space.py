"""What a sweep varies: lists of values, and intervals to draw from, in Hydra's notation."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

from src.core.errors import UserError
from src.sweeps.notation import typed

Values = dict[str, str]  # config key (with its + if it has one) -> value as it is typed


@dataclass(frozen=True)
class Choice:
    """One of some values, each as it is typed."""

    values: tuple[str, ...]

    def draw(self, rng: random.Random) -> str:
        return rng.choice(self.values)

    @property
    def probes(self) -> tuple[str, ...]:
        """The values that stand for all of them in a check."""
        return self.values

    @property
    def typed(self) -> str:
        """As it is typed."""
        return ",".join(self.values)


@dataclass(frozen=True)
class Interval:
    """A number between ``low`` and ``high``. ``log``: evenly spread over magnitudes. ``whole``: no fractions."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: random.Random) -> str:
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        number = math.exp(rng.uniform(math.log(low), math.log(high))) if self.log else rng.uniform(low, high)
        return self.text(min(max(number, self.low), self.high))

    def text(self, number: float) -> str:
        """A number of the interval as it is typed: six digits are enough for a setting."""
        return str(round(number)) if self.whole else repr(float(f"{number:.6g}"))

    @property
    def probes(self) -> tuple[str, ...]:
        return self.text(self.low), self.text(self.high)

    @property
    def typed(self) -> str:
        """As it is typed."""
        plain = f"interval({self.text(self.low)},{self.text(self.high)})"
        return f"tag(log,{plain})" if self.log else plain


Dimension = Choice | Interval
Space = dict[str, Dimension]


def read(params: Mapping[str, Any], given: Sequence[str], loader: ConfigLoader) -> tuple[Space, list[str]]:
    """What varies, and the overrides that do not. ``params``: of the sweep's file; ``given``: what was typed, wins.

    Raises ``UserError`` for what cannot be read.
    """
    items = {str(key).lstrip("+"): _parse(f"{key}={typed(value)}", loader) for key, value in params.items()}
    for item in (_parse(text, loader) for text in given):
        items[item.key_or_group] = item
    space = {item.get_key_element(): _dimension(item) for item in items.values() if item.is_sweep_override()}
    return space, [item.input_line for item in items.values() if not item.is_sweep_override()]


def varies(text: str) -> bool:
    """Whether an override names several values; one that cannot be read does not."""
    try:
        return OverridesParser.create().parse_override(text).is_sweep_override()
    except HydraException:
        return False


def _parse(text: str, loader: ConfigLoader) -> Override:
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides([text])[0]
    except HydraException as error:
        raise UserError(text, f"this is not a valid key=values ({str(error).splitlines()[0]})",
                        "write seed=0,1,2 or method.lr=interval(1e-4,1e-2)") from error


def _dimension(item: Override) -> Dimension:
    value = item.value()
    if isinstance(value, IntervalSweep):
        low, high = float(value.start), float(value.end)
        log, whole = "log" in value.tags, isinstance(value.start, int) and isinstance(value.end, int)
        if not low < high or (log and low <= 0):
            rule = "an interval goes from a smaller to a larger number" + (", both above 0 if log" if log else "")
            raise UserError(item.input_line, rule)
        return Interval(low, high, log, whole)
    values = tuple(dict.fromkeys(map(str, item.sweep_string_iterator())))
    if not values:
        raise UserError(item.input_line, "names no value",
                        "a pattern stands for the options of a group, as in model=glob(*)")
    return Choice(values)
