"""Pictures of a sweep: each parameter against the objective, and the best value so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from src.core import style
from src.sweeps.panels import MOST_LINES, draw_panel, text
from src.sweeps.record import short_names
from src.sweeps.rows import Row, Rows, unrepeated
from src.sweeps.scale import scale_of, shortened

COLUMNS = 3
WIDTH, HEIGHT = 3.9, 2.9  # inches of a panel
NAME, CHARACTER = 0.16, 0.05  # ... of a name that stands on end, and of each of its characters
LABEL = 34  # characters of a line beside the vertical axis


def draw(found: Rows, folder: Path) -> list[Path]:
    """plots/parameters.png, and for a search plots/history.png; nothing where no run has the objective."""
    rows = [row for row in unrepeated(found.rows) if row.objective is not None]
    files = []
    keys = [key for key in found.keys if len({text(row, key) for row in rows}) > 1]
    if len(rows) > 1:
        files.append(_parameters(found, rows, keys or ["seed"], folder / "plots" / "parameters.png"))
    if len(rows) > 1 and found.kind != "grid":
        files.append(_history(found, rows, folder / "plots" / "history.png"))
    return files


def _parameters(found: Rows, rows: Sequence[Row], keys: list[str], file: Path) -> Path:
    """A panel for each parameter; of two, each value of the other is a line."""
    columns = min(COLUMNS, len(keys))
    lines = math.ceil(len(keys) / columns)
    names, means = short_names(keys), found.kind == "grid" and keys != ["seed"]
    pairs = [(key, keys[1 - place] if len(keys) == 2 else None) for place, key in enumerate(keys)]
    width, height = (max(sizes) for sizes in zip(*(_size(rows, *pair) for pair in pairs), strict=True))
    with style.page(file, width * columns + 0.4, height * lines, lines, columns, sharey=True) as (figure, grid):
        if means:
            figure.supxlabel("dots: runs, line: mean, bar: ± 1 standard deviation over the runs of a value", x=0.99,
                             ha="right", fontsize=7)
        for axes in grid.flat[len(keys):]:
            axes.set_visible(False)
        for axes, (key, other) in zip(grid.flat, pairs, strict=False):
            draw_panel(axes, rows, key, other, names.get(other or "", ""), means)
            axes.set_xlabel(key.lstrip("+~"))
        for line in grid:
            line[0].set_ylabel(_aim(found))
    return file


def _size(rows: Sequence[Row], key: str, other: str | None) -> tuple[float, float]:
    """Width and height of a panel: names need room, numbers share what there is, the legend stands beside it."""
    names = scale_of([text(row, key) for row in rows], nominal=key == "seed").names
    lines = {text(row, other) for row in rows} if other else set()
    legend = max(map(len, shortened([*lines])), default=0) if len(lines) <= MOST_LINES else 0
    return max(WIDTH, NAME * len(names)) + CHARACTER * legend, HEIGHT + CHARACTER * max(map(len, names), default=0)


def _aim(found: Rows) -> str:
    label = f"{found.metric}{' (smaller is better)' if found.direction == 'minimize' else ''}"
    return "\n".join(style.wrapped(label, LABEL))


def _history(found: Rows, rows: Sequence[Row], file: Path) -> Path:
    """Each run in the order of its number, and the best so far as a line."""
    from matplotlib.ticker import MaxNLocator

    ordered = sorted(rows, key=lambda row: row.number)
    best: list[float] = []
    for row in ordered:
        best.append(min([*best[-1:], row.objective or 0.0], key=found.better))
    with style.page(file, 6.4, 3.2) as (_, grid):
        axes = grid[0, 0]
        numbers = [row.number for row in ordered]
        axes.plot(numbers, [row.objective for row in ordered], "o", color=style.PALE, markersize=4, label="runs")
        axes.step(numbers, best, where="post", color=style.BLUE, label="best so far")
        axes.set(xlabel="job", ylabel=_aim(found))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        style.legend_beside(axes)
    return file
