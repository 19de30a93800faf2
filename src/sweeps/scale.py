"""Where a parameter's values stand on an axis, and which of them are written at it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_RATIO = 2.99   # largest to smallest value from which an axis may count magnitudes; 3e-3 / 1e-3 is a little under 3
MOST_TICKS = 8     # tried values that are written; of more, round numbers are
LONGEST = 30       # characters of a name at an axis or in a legend
CHARACTER = 0.023  # width of one, in panels
MAGNITUDES = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))


@dataclass(frozen=True)
class Scale:
    """``places``: of each value as it is typed. ``names``: the ticks of values that stand side by side; else the axis
    is a number line. ``ordered``: a line through them has a meaning."""

    places: dict[str, float]
    names: list[str] = field(default_factory=list)
    ordered: bool = True
    log: bool = False

    def draw(self, axes: Axes) -> None:
        """Set scale, limits and ticks."""
        if self.names:
            _write_names(axes, self.names)
            return
        values = sorted(set(self.places.values()))
        if self.log:
            axes.set_xscale("log")
        ticks = values if len(values) <= MOST_TICKS else _round_numbers(values[0], values[-1], self.log)
        axes.set_xticks(ticks, _without_collisions(ticks, self.log))
        axes.set_xticks([], minor=True)


def scale_of(texts: Sequence[str], nominal: bool = False) -> Scale:
    """The scale for these values. ``nominal``: numbers that only tell apart, such as seeds."""
    numbers = {text: number(text) for text in texts}
    known = {text: value for text, value in numbers.items() if value is not None}
    if len(known) < len(numbers):
        return Scale({text: float(place) for place, text in enumerate(numbers)}, shortened(list(numbers)), False)
    ordered = sorted(known, key=lambda text: known[text])
    values = sorted(set(known.values()))
    positive = [value for value in values if value > 0]
    # 0, 1e-4, 1e-3: no number line shows both the zero and the magnitudes.
    if nominal or (len(positive) < len(values) <= MOST_TICKS and values[0] == 0 and _by_magnitude(positive)):
        places = {text: float(values.index(known[text])) for text in ordered}
        return Scale(places, [brief(value) for value in values], ordered=not nominal)
    return Scale(known, log=len(positive) == len(values) and _by_magnitude(values))


def number(text: str) -> float | None:
    """The finite number that is typed there, if it is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def brief(value: float) -> str:
    """0.003 as 3e-3, 0.25 as it is: whichever is shorter."""
    plain = f"{value:g}"
    mantissa, _, exponent = f"{value:e}".partition("e")
    short = f"{float(mantissa):g}e{int(exponent)}"
    return short if len(short) < len(plain) and not 0.01 <= abs(value) < 1e5 else plain


def shortened(names: Sequence[str]) -> list[str]:
    """Names without the folders that all of them share, and without their middle where they are long; left as they are
    where that would make two of them alike."""
    folders = {name.rpartition("/")[0] for name in names}
    tails = [name.rpartition("/")[2] for name in names] if len(folders) == 1 else list(names)
    start, end = LONGEST // 3, LONGEST - LONGEST // 3 - 1
    short = [tail if len(tail) <= LONGEST else f"{tail[:start]}…{tail[-end:]}" for tail in tails]
    return short if len(set(short)) == len(set(names)) else list(names)


def _by_magnitude(values: Sequence[float]) -> bool:
    """Whether positive numbers, in rising order, spread over magnitudes rather than evenly."""
    if len(values) < 2 or values[-1] < LOG_RATIO * values[0]:
        return False
    return _lopsided([math.log(value) for value in values]) <= _lopsided(values) + 1e-9


def _lopsided(values: Sequence[float]) -> float:
    return abs((statistics.median(values) - values[0]) / (values[-1] - values[0]) - 0.5)


def _write_names(axes: Axes, names: Sequence[str]) -> None:
    """Upright where there is room, else slanted, and of many names on end."""
    width = max(map(len, names)) * len(names) * CHARACTER
    angle = 0 if width < 1 else 30 if len(names) <= MOST_TICKS else 90
    axes.set_xticks(range(len(names)), names, rotation=angle, ha="right" if angle == 30 else "center",
                    rotation_mode="anchor" if angle == 30 else "default")
    axes.set_xlim(-0.5, len(names) - 0.5)


def _round_numbers(low: float, high: float, log: bool) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    if not log:
        return [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in MAGNITUDES:
        ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) >= 3:
            break
    return ticks[::math.ceil(len(ticks) / MOST_TICKS)]


def _without_collisions(ticks: Sequence[float], log: bool) -> list[str]:
    """The label of each tick, empty where it would run into the one before."""
    spots = [math.log(tick) if log else tick for tick in ticks]
    span = (spots[-1] - spots[0]) or 1.0
    labels, free = [], -math.inf
    for tick, spot in zip(ticks, spots, strict=True):
        half, middle = CHARACTER * (len(brief(tick)) + 1) / 2, (spot - spots[0]) / span
        fits = middle - half >= free
        labels.append(brief(tick) if fits else "")
        free = middle + half if fits else free
    return labels
