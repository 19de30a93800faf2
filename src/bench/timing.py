"""Two ways to do the same work, timed turn by turn in one process: only their ratio is kept, as machines are noisy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import torch

Work = Callable[[], object]
WARM_UP, REPEATS, SECONDS = 2, 15, 30.0


@dataclass(frozen=True)
class Result:
    """Quartiles of a ratio over repetitions: `one` over `other`, in seconds of the same work.

    `kind` is "speed" where the project does it the other way (above 1: that is faster), "cost" where `one` has
    something that `other` has not (1: it costs nothing), and "skipped" with the reason as its note.
    """

    name: str
    kind: str
    one: str
    other: str
    low: float = float("nan")
    middle: float = float("nan")
    high: float = float("nan")
    seconds_one: float = float("nan")  # medians
    seconds_other: float = float("nan")
    repeats: int = 0
    note: str = ""


def device() -> torch.device:
    """Where everything here runs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds(work: Work) -> float:
    """Of one call, the device waited for before and after, never within."""
    start = now()
    work()
    return now() - start


def compared(name: str, kind: str, one: tuple[str, Work], other: tuple[str, Work], *, repeats: int = REPEATS,
             limit: float = SECONDS, note: str = "") -> Result:
    """Both in turn, neither always first, at least three times and then until `repeats` or `limit` seconds."""
    for _ in range(WARM_UP):
        one[1](), other[1]()
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(pairs) < repeats and (len(pairs) < 3 or time.perf_counter() - start < limit):
        if len(pairs) % 2:
            late = seconds(other[1])
            pairs.append((seconds(one[1]), late))
        else:
            early = seconds(one[1])
            pairs.append((early, seconds(other[1])))
    return summary(name, kind, one[0], other[0], pairs, note)


def summary(name: str, kind: str, one: str, other: str, pairs: Sequence[tuple[float, float]], note: str = "") -> Result:
    """Quartiles of the pairs' ratios, medians of their seconds."""
    low, middle, high = quartiles([first / second for first, second in pairs])
    return Result(name, kind, one, other, low, middle, high, median(first for first, _ in pairs),
                  median(second for _, second in pairs), len(pairs), note)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def skipped(name: str, reason: str) -> Result:
    """A comparison that this machine cannot make."""
    return Result(name, "skipped", "", "", note=reason)


def now() -> float:
    """Seconds of a clock, read when the device has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
