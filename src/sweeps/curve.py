"""One column of metrics.csv against another, methods side by side: mean over seeds and the band of one deviation."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.core import style
from src.core.errors import UserError
from src.sweeps.runs import UNTRAINED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = dict[float, float]
CHARACTER = 0.06  # inches of one in a legend


def draw_curve(runs: Sequence[Run], column: str, against: Sequence[str], file: Path) -> Path:
    """A line for each method; where runs are told apart by keys too, a panel for each method. A row of panels for each
    column of ``against``.

    A line goes through the places that all of its runs have. Raises ``UserError`` if no run has both columns.
    """
    rows = [_panels(runs, column, horizontal) for horizontal in against]
    width, height = max(map(len, rows)), len(rows)
    longest = max(len(line) for panels in rows for lines in panels.values() for line in lines)
    with style.page(file, 1.0 + (4.0 + CHARACTER * longest) * width, 0.4 + 3.2 * height, height, width,
                    sharey=True) as (_, grid):
        for axes_row, panels, horizontal in zip(grid, rows, against, strict=True):
            for axes, (title, lines) in zip(axes_row, panels.items(), strict=False):
                _panel(axes, lines)
                axes.set(xlabel=horizontal, title=title)
                style.legend_beside(axes, "seeds in brackets")
            axes_row[0].set_ylabel(column)
    return file


def write_points(runs: Sequence[Run], column: str, against: Sequence[str], file: Path) -> None:
    """What the picture shows, before it is averaged: one line for each point of each run."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["method", "seed", "against", "x", column])
        for run in runs:
            for horizontal in against if run.method != UNTRAINED else ():
                points = read_points(run.folder / "metrics.csv", column, horizontal)
                writer.writerows([run.label, run.seed, horizontal, x, y] for x, y in sorted(points.items()))


def _panels(runs: Sequence[Run], column: str, against: str) -> dict[str, dict[str, list[Points]]]:
    panels: dict[str, dict[str, list[Points]]] = {}
    for run in runs:
        if run.method == UNTRAINED or not (points := read_points(run.folder / "metrics.csv", column, against)):
            continue
        panel, line = (run.method, _short(run)) if run.keys else ("", run.method)
        panels.setdefault(panel, {}).setdefault(line, []).append(points)
    if not panels:
        raise UserError(f"--curve {column} --against {against}", "no run's metrics.csv has both columns",
                        "take two column names out of a run's metrics.csv")
    return panels


def _short(run: Run) -> str:
    """What tells the run from others of its method, without the keys' parents: a legend has little room."""
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in run.keys)


def _panel(axes: Axes, lines: Mapping[str, Sequence[Points]]) -> None:
    for place, (label, some) in enumerate(lines.items()):
        shared = sorted(set.intersection(*(set(points) for points in some)))
        values = [[points[x] for points in some] for x in shared]
        means = [statistics.fmean(row) for row in values]
        dashes = ("-", "--", ":", "-.")[place // len(style.CYCLE) % 4]  # more lines than colours
        axes.plot(shared, means, dashes, color=style.colour(place), label=f"{label} ({len(some)})", marker="o",
                  markersize=2.5)
        if len(some) > 1:
            deviations = [statistics.stdev(row) for row in values]
            low, high = ([m + sign * d for m, d in zip(means, deviations, strict=True)] for sign in (-1, 1))
            axes.fill_between(shared, low, high, color=style.colour(place), alpha=0.1, linewidth=0)


def read_points(file: Path, column: str, against: str) -> Points:
    """``column`` by ``against`` of a metrics.csv, of several rows the last. A row without ``against`` takes it from the
    others of its epoch; before training every cost is 0."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    places = {row.get("epoch"): row[against] for row in rows if row.get("epoch") and row.get(against)}
    if places and against.startswith("cost/"):
        places.setdefault("-1", "0")
    found = {}
    for row in rows:
        place = row.get(against) or places.get(row.get("epoch"))
        if row.get(column) and place:
            found[float(place)] = float(row[column])
    return found
