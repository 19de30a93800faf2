"""Mean and spread over seeds, and paired differences with Student's t interval, without SciPy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

CONFIDENCE = 0.95


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1 in the denominator; None for one value) of n values."""

    n: int
    mean: float
    std: float | None


class Difference(NamedTuple):
    """Paired difference to a reference over n seeds; [low, high] is its 95 % interval, None for one seed."""

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of at least one value."""
    return Spread(len(values), statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def difference(ours: Mapping[int, float], reference: Mapping[int, float]) -> Difference | None:
    """Of values by seed, ours minus the reference's over the seeds that both have; None without any."""
    common = sorted(ours.keys() & reference.keys())
    if not common:
        return None
    n, mean, std = spread([ours[seed] - reference[seed] for seed in common])
    if std is None:
        return Difference(n, mean, None, None, None)
    half = t_quantile(CONFIDENCE, n - 1) * std / math.sqrt(n)
    return Difference(n, mean, std, mean - half, mean + half)


def t_quantile(probability: float, degrees: int) -> float:
    """The t with P(|T| <= t) = ``probability`` for Student's T, by bisection."""
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, degrees) < probability else (low, middle)
    return high


def t_probability(t: float, degrees: int) -> float:
    """P(|T| <= t) for a whole number of degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    odd, square = degrees % 2, math.cos(angle) ** 2
    term = total = 1.0 if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):  # cos^2 times 2/3, 4/5, ... if odd, 1/2, 3/4, ... if even
        term *= square * (k - 1) / k
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * total)
    return math.sin(angle) * total
