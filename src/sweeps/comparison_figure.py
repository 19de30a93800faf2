"""Methods side by side as a picture: one panel for each figure, mean, standard deviation and every seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.core import style
from src.core.errors import UserError
from src.sweeps.figure_choice import PANELS, methods_with, usual_names
from src.sweeps.objective import direction_of
from src.sweeps.paired import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL, TITLE = 34, 22  # characters of a line: a method's, a panel's


def draw_comparison(runs: Sequence[Mapping[str, Any]], file: Path, *, names: Sequence[str] | None = None,
                    order: Sequence[str] = (), title: str = "", columns: int = 4) -> Path:
    """Small panels; the mean of the first method that has the figure goes through as a line.

    ``runs``: mappings with ``method``, ``seed`` and ``figures`` (name -> number). ``names``: the figures to show; by
    default the usual ones. ``order``: the methods from top to bottom; those without any of the figures are not drawn.
    """
    names = list(names) if names is not None else usual_names(runs)
    if not names:
        raise UserError("0 figures", "the runs have none of the usual ones", f"usual are: {', '.join(PANELS)}")
    shown = methods_with(runs, names)
    methods = [method for method in dict.fromkeys([*order, *shown]) if method in shown]
    labels = ["\n".join(style.wrapped(method, LABEL)) for method in methods]
    columns = min(columns, len(names))
    rows = math.ceil(len(names) / columns)
    width = 2.35 * columns + 0.3 + 0.07 * max((len(line) for label in labels for line in label.splitlines()), default=0)
    height = (0.75 + sum(0.15 + 0.15 * len(label.splitlines()) for label in labels)) * rows + 0.5
    with style.page(file, width, height, rows, columns, sharey=True) as (figure, grid):
        figure.supxlabel("bar: mean, line: ± 1 standard deviation, dots: seeds, dashed: the topmost mean; "
                         "↓: smaller is better", x=0.99, ha="right", fontsize=7)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        for axes in grid.flat[len(names):]:
            axes.set_visible(False)
        for axes, name in zip(grid.flat, names, strict=False):
            _panel(axes, [_values(runs, method, name) for method in methods])
            axes.set_title(_title(name), fontsize=9)
        grid[0, 0].set_yticks(range(len(methods)), labels)
        grid[0, 0].set_ylim(len(methods) - 0.5, -0.5)
    return file


def _title(name: str) -> str:
    group, _, leaf = name.rpartition("/")
    text = PANELS.get(leaf, name if len(name) <= TITLE else f"{group}/\n{leaf}")
    return f"{text} ↓" if direction_of(name) == "minimize" else text


def _values(runs: Sequence[Mapping[str, Any]], method: str, name: str) -> list[float]:
    """Of a method, in the order of seeds."""
    chosen = [run for run in runs if run["method"] == method and name in run["figures"]]
    return [run["figures"][name] for run in sorted(chosen, key=lambda run: run["seed"])]


def _panel(axes: Axes, values: Sequence[Sequence[float]]) -> None:
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    first = next((row for row, some in enumerate(values) if some), None)
    for row, some in enumerate(values):
        if not some:
            continue
        n, mean, std = spread(some)
        colour = style.colour(row)
        if row == first:
            axes.axvline(mean, color=style.PALE, linewidth=1, linestyle="--")
        # Seeds stand a little below each other, in the same order for every method: pairs can be followed.
        places = [row + 0.32 * (seed / max(1, n - 1) - 0.5) for seed in range(n)]
        axes.plot(some, places, "o", color=colour, markersize=3.6, alpha=0.55, markeredgewidth=0)
        if std is not None:
            axes.plot([mean - std, mean + std], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
        axes.plot([mean, mean], [row - 0.27, row + 0.27], color=colour, linewidth=2.6, solid_capstyle="butt")
    axes.margins(x=0.1)
    axes.xaxis.get_major_locator().set_params(nbins=4)
