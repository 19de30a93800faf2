"""The figure by which the runs of a sweep are judged, and which way is better."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.core import results
from src.core.errors import UserError, did_you_mean, nearest

DIRECTIONS = ("maximize", "minimize")
# A figure whose name has one of these words is better when it is smaller.
SMALLER = {"err", "error", "loss", "nll", "ece", "ece15", "brier", "aurc", "eaurc", "seconds", "kl", "fid", "mse",
           "overhead", "perplexity"}


def figures(content: Mapping[str, Any]) -> dict[str, float]:
    """The numbers named group/name of a metrics.json."""
    return {name: float(value) for name, value in content.items()
            if "/" in name and isinstance(value, int | float) and not isinstance(value, bool)}


def objective(folder: Path, metric: str | None) -> float | None:
    """The value of ``metric`` in a run's metrics.json, else the last one in its metrics.csv; None if it is nowhere."""
    if metric is None:
        return None
    content = results.read(folder)
    if metric in content:
        value = content[metric]
        return float(value) if isinstance(value, int | float) else None
    return _last(folder / "metrics.csv", metric)


def check_figure(folder: Path, metric: str) -> None:
    """Raise ``UserError`` if a finished run knows no such figure; one that is not finite has its name all the same."""
    known = [*results.read(folder), *_columns(folder / "metrics.csv")]
    if metric not in known:
        raise lacking(metric, [name for name in known if "/" in name])


def lacking(metric: str, known: Iterable[str]) -> UserError:
    """What is told where finished runs have no such figure, only the ``known`` ones."""
    names = list(dict.fromkeys(known))
    listing = f"they have {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"
    return UserError(f"optimized_metric={metric}", "no finished run has this figure",
                     did_you_mean(metric, names, show_all=0) if nearest(metric, names) else listing)


def direction_of(metric: str) -> str:
    """``maximize`` or ``minimize``, by the words of a figure's name."""
    words = set(metric.rpartition("/")[2].split("_"))
    return "minimize" if words & SMALLER or metric.startswith("cost/") else "maximize"


def usual(names: Iterable[str]) -> str | None:
    """The figure to sort by where none was named: the first after training, else the first of the test's."""
    names = list(names)
    for fits in (lambda name: name.endswith("_after"), lambda name: name.startswith("test/"),
                 lambda name: not name.endswith("_before") and not name.startswith("cost/")):
        if found := next(filter(fits, names), None):
            return found
    return None


def _columns(file: Path) -> list[str]:
    try:
        with file.open(newline="") as stream:
            return next(csv.reader(stream), [])
    except OSError:
        return []


def _last(file: Path, column: str) -> float | None:
    try:
        with file.open(newline="") as stream:
            cells = [row.get(column) for row in csv.DictReader(stream)]
        value = float(next(cell for cell in reversed(cells) if cell))
    except (OSError, ValueError, StopIteration):
        return None
    return value if math.isfinite(value) else None
