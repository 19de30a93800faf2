"""One column of metrics.csv against another, methods side by side: mean over seeds and the band of one deviation."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path

from src.core import style
from src.core.errors import UserError
from src.sweeps.runs import Run


def draw_curve(runs: Sequence[Run], column: str, against: str, file: Path) -> Path:
    """A line for each label through the places that all of its runs have; their spread is the sample deviation.

    Raises ``UserError`` if no run has both columns.
    """
    curves: dict[str, list[dict[float, float]]] = {}
    for run in runs:
        if points := read_points(run.folder / "metrics.csv", column, against):
            curves.setdefault(run.label, []).append(points)
    if not curves:
        raise UserError(f"--curve {column} --against {against}", "no run's metrics.csv has rows with both columns",
                        "take two column names out of a run's metrics.csv")
    with style.page(file, 6.4, 4.2) as (_, grid):
        axes = grid[0, 0]
        for place, (label, some) in enumerate(curves.items()):
            shared = sorted(set.intersection(*(set(points) for points in some)))
            values = [[points[x] for points in some] for x in shared]
            means = [statistics.fmean(row) for row in values]
            # More methods than colours: the lines' style tells them apart.
            dashes = ("-", "--", ":", "-.")[place // len(style.CYCLE) % 4]
            axes.plot(shared, means, dashes, color=style.colour(place), label=f"{label} ({len(some)})", marker="o",
                      markersize=2.5)
            if len(some) > 1:
                deviations = [statistics.stdev(row) for row in values]
                low, high = ([m + sign * d for m, d in zip(means, deviations, strict=True)] for sign in (-1, 1))
                axes.fill_between(shared, low, high, color=style.colour(place), alpha=0.08, linewidth=0)
        axes.set(xlabel=against, ylabel=column)
        axes.legend(title="runs (seeds)", fontsize=7)
    return file


def read_points(file: Path, column: str, against: str) -> dict[float, float]:
    """``column`` by ``against``, of the rows of a metrics.csv that have both; of several the last."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as stream:
        return {float(row[against]): float(row[column]) for row in csv.DictReader(stream)
                if row.get(against) and row.get(column)}
