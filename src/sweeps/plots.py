"""Pictures of a sweep: each parameter against the objective, and the best value so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.core import style
from src.sweeps.paired import spread
from src.sweeps.record import short_names
from src.sweeps.rows import Row, Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 6     # values of a second parameter that are drawn as lines of their own
LOG_RATIO = 10.0   # largest to smallest value from which an axis counts magnitudes
COLUMNS = 3


def draw(found: Rows, folder: Path) -> list[Path]:
    """plots/parameters.png, and for a search plots/history.png; nothing where no run has the objective."""
    rows = [row for row in found.rows if row.objective is not None]
    files = []
    keys = [key for key in found.keys if len({row.values.get(key) for row in rows}) > 1]
    if rows and (keys or len(rows) > 1):
        files.append(_parameters(found, rows, keys or ["seed"], folder / "plots" / "parameters.png"))
    if found.kind != "grid" and len(rows) > 1:
        files.append(_history(found, rows, folder / "plots" / "history.png"))
    return files


def _parameters(found: Rows, rows: Sequence[Row], keys: list[str], file: Path) -> Path:
    """A panel for each parameter; of two, each value of the other is a line."""
    columns = min(COLUMNS, len(keys))
    lines = math.ceil(len(keys) / columns)
    names = short_names(keys)
    with style.page(file, 3.9 * columns + 0.4, 3.0 * lines, lines, columns, sharey=True) as (figure, grid):
        if found.kind == "grid":
            figure.supxlabel("dots: runs, line: mean, bar: ± 1 standard deviation over the runs of a value", x=0.99,
                             ha="right", fontsize=7)
        for axes in grid.flat[len(keys):]:
            axes.set_visible(False)
        for axes, key in zip(grid.flat, keys, strict=False):
            other = next((one for one in keys if one != key), None) if len(keys) == 2 else None
            _panel(axes, rows, key, other, names, means=found.kind == "grid")
            axes.set_xlabel(key.lstrip("+~"))
        for line in grid:
            line[0].set_ylabel(found.metric)
    return file


def _panel(axes: Axes, rows: Sequence[Row], key: str, other: str | None, names: dict[str, str], means: bool) -> None:
    places, ticks = _places(axes, [row.values.get(key, str(row.seed)) for row in rows])
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.values.get(other, "-") if other else "", []).append(row)
    if len(groups) > MOST_LINES:
        groups = {"": list(rows)}
    for place, (value, some) in enumerate(sorted(groups.items(), key=lambda pair: _number(pair[0]) or 0.0)):
        label = f"{names[other]} = {value}" if other and len(groups) > 1 else None
        _line(axes, some, [places[row.values.get(key, str(row.seed))] for row in some], style.colour(place), label,
              joined=not ticks, means=means)
    if ticks:
        axes.set_xticks(range(len(ticks)), ticks, rotation=30 if max(map(len, ticks)) > 8 else 0,
                        ha="right" if max(map(len, ticks)) > 8 else "center")
        axes.set_xlim(-0.5, len(ticks) - 0.5)
    if other and len(groups) > 1:
        axes.legend()


def _line(axes: Axes, rows: Sequence[Row], places: Sequence[float], colour: str, label: str | None,
          joined: bool, means: bool) -> None:
    """Every run as a dot; of a grid the mean of each value with its standard deviation, where values repeat.

    Of a search a mean would say little: it looks where it has found good values before.
    """
    values: dict[float, list[float]] = {}
    for place, row in zip(places, rows, strict=True):
        values.setdefault(place, []).append(row.objective or 0.0)
    spreads = [(place, spread(some)) for place, some in sorted(values.items())]
    repeated = means and any(cell.std is not None for _, cell in spreads)
    axes.plot(places, [row.objective for row in rows], "o", color=colour, markersize=4, markeredgewidth=0,
              alpha=0.4 if repeated else 0.9, label=None if means else label)
    if means:
        cells = [cell for _, cell in spreads]
        axes.errorbar([place for place, _ in spreads], [cell.mean for cell in cells], [cell.std or 0 for cell in cells],
                      color=colour, fmt="-" if joined else "_", markersize=14, capsize=3 * repeated, label=label)


def _places(axes: Axes, texts: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Where each value stands on the axis; the labels of the ticks if values are no numbers."""
    numbers = {text: _number(text) for text in texts}
    if any(value is None for value in numbers.values()):
        names = list(dict.fromkeys(texts))
        return {name: float(place) for place, name in enumerate(names)}, names
    known = {text: value for text, value in numbers.items() if value is not None}
    if min(known.values()) > 0 and max(known.values()) >= LOG_RATIO * min(known.values()):
        axes.set_xscale("log")
    return known, []


def _history(found: Rows, rows: Sequence[Row], file: Path) -> Path:
    """Each run in the order of its number, and the best so far as a line."""
    ordered = sorted(rows, key=lambda row: row.number)
    best: list[float] = []
    for row in ordered:
        best.append(min([*best[-1:], row.objective or 0.0], key=found.better))
    with style.page(file, 5.4, 3.2) as (_, grid):
        axes = grid[0, 0]
        numbers = [row.number for row in ordered]
        axes.plot(numbers, [row.objective for row in ordered], "o", color=style.PALE, markersize=4, label="runs")
        axes.step(numbers, best, where="post", color=style.BLUE, label="best so far")
        axes.set(xlabel="job", ylabel=found.metric)
        axes.legend()
    return file


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
