"""The figure by which the runs of a sweep are judged, and which way is better."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from src.core import results
from src.core.config.ranges import is_number

DIRECTIONS = ("maximize", "minimize")
# A figure whose name has one of these words is better when it is smaller.
SMALLER = {"err", "error", "loss", "nll", "ece", "ece15", "brier", "aurc", "eaurc", "seconds", "kl", "fid", "mse",
           "overhead", "perplexity"}


def figures(content: Mapping[str, Any]) -> dict[str, float]:
    """The numbers named group/name of a metrics.json."""
    return {name: float(value) for name, value in content.items()
            if "/" in name and is_number(value) and math.isfinite(value)}


def objective(folder: Path, metric: str | None) -> float | None:
    """The value of ``metric`` in a run's metrics.json, else the last one in its metrics.csv; None if it is nowhere."""
    if metric is None:
        return None
    content = results.read(folder)
    if metric in content:
        value = content[metric]
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    return _last(folder / "metrics.csv", metric)


def direction_of(metric: str) -> str:
    """``maximize`` or ``minimize``, by the words of a figure's name."""
    words = set(metric.rpartition("/")[2].split("_"))
    return "minimize" if words & SMALLER or metric.startswith("cost/") else "maximize"


def columns_of(folder: Path) -> Iterator[str]:
    """The figures that a run's metrics.csv has a column for."""
    try:
        with (folder / "metrics.csv").open(newline="") as stream:
            yield from (name for name in next(csv.reader(stream), []) if "/" in name)
    except OSError:
        return


def _last(file: Path, column: str) -> float | None:
    try:
        with file.open(newline="") as stream:
            cells = [row.get(column) for row in csv.DictReader(stream)]
        value = float(next(cell for cell in reversed(cells) if cell))
    except (OSError, ValueError, StopIteration):
        return None
    return value if math.isfinite(value) else None
