"""Methods side by side as a picture: one panel for each figure, mean, standard deviation and every seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.core import style
from src.core.errors import UserError
from src.sweeps.paired import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"top1_err": "Top-1 error (%)", "top5_err": "Top-5 error (%)", "nll": "NLL (nats)", "brier": "Brier score",
          "ece": "ECE, 10 bins (%)", "ece15": "ECE, 15 bins (%)", "aurc": "AURC (x 1000)", "eaurc": "E-AURC (x 1000)"}
MOST = 12  # panels of one picture


def draw_comparison(runs: Sequence[Mapping[str, Any]], file: Path, *, names: Sequence[str] | None = None,
                    order: Sequence[str] = (), title: str = "", columns: int = 4) -> Path:
    """Small panels, lower is better in each of the usual ones; the first method's mean goes through as a line.

    ``runs``: mappings with ``method``, ``seed`` and ``figures`` (name -> number). ``names``: the figures to show; by
    default those of the test (or else the validation) pictures. ``order``: the methods from top to bottom.
    """
    methods = list(dict.fromkeys([*order, *(run["method"] for run in runs)]))
    names = list(names) if names is not None else usual_names(runs)
    if not names:
        raise UserError("0 figures", "the runs have none of the usual ones", f"usual are: {', '.join(PANELS)}")
    columns = min(columns, len(names))
    rows = math.ceil(len(names) / columns)
    width, height = 2.35 * columns + 0.3 + 0.07 * max(map(len, methods)), (0.75 + 0.3 * len(methods)) * rows + 0.5
    with style.page(file, width, height, rows, columns, sharey=True) as (figure, grid):
        figure.supxlabel("bar: mean, line: ± 1 standard deviation, dots: seeds", x=0.99, ha="right", fontsize=7)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        for axes in grid.flat[len(names):]:
            axes.set_visible(False)
        for axes, name in zip(grid.flat, names, strict=False):
            _panel(axes, [_values(runs, method, name) for method in methods])
            axes.set_title(PANELS.get(name.rpartition("/")[2], name), fontsize=9)
        grid[0, 0].set_yticks(range(len(methods)), methods)
        grid[0, 0].set_ylim(len(methods) - 0.5, -0.5)
    return file


def usual_names(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The usual figures of the first group that has any; else those of evaluations, as many as fit."""
    known = sorted({name for run in runs for name in run["figures"]})
    groups = ([f"{group}/{leaf}" for leaf in PANELS if f"{group}/{leaf}" in known] for group in ("test", "best", "val"))
    others = [name for name in known if name.startswith(("eval/", "heldout/", "diversity/"))]
    return next((names for names in groups if names), others[:MOST])


def _values(runs: Sequence[Mapping[str, Any]], method: str, name: str) -> list[float]:
    """Of a method, in the order of seeds."""
    chosen = [run for run in runs if run["method"] == method and name in run["figures"]]
    return [run["figures"][name] for run in sorted(chosen, key=lambda run: run["seed"])]


def _panel(axes: Axes, values: Sequence[Sequence[float]]) -> None:
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    for row, some in enumerate(values):
        if not some:
            continue
        n, mean, std = spread(some)
        colour = style.colour(row)
        if row == 0:
            axes.axvline(mean, color=style.PALE, linewidth=1, linestyle="--")
        # Seeds stand a little below each other, in the same order for every method: pairs can be followed.
        places = [row + 0.32 * (seed / max(1, n - 1) - 0.5) for seed in range(n)]
        axes.plot(some, places, "o", color=colour, markersize=3.6, alpha=0.55, markeredgewidth=0)
        if std is not None:
            axes.plot([mean - std, mean + std], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
        axes.plot([mean, mean], [row - 0.27, row + 0.27], color=colour, linewidth=2.6, solid_capstyle="butt")
    axes.margins(x=0.1)
    axes.xaxis.get_major_locator().set_params(nbins=4)
