"""Curves of a run, drawn from its metrics.csv against the reward queries spent."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.core import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUERIES = "cost/reward_queries"
# file name -> (title, label of the y-axis, start of the columns' names)
TOPICS = {
    "rewards": ("Scores", "mean score", ("reward/mean", "eval/", "heldout/")),
    "details": ("What the scorers see", "mean score", ("eval/", "heldout/")),
    "diversity": ("Diversity of pictures of one prompt", "mean pairwise distance", ("diversity/latent",)),
    "vendi": ("Vendi score of pictures of one prompt", "pictures that differ", ("diversity/vendi",)),
    "selection": ("What trunks gave to the update", "share of trunks", (
        "select/positive_only", "select/negative_only", "select/both", "select/none", "select/frac_zero_std")),
    "variance": ("Variance of the reward", "variance", ("reward/variance",)),
    "interval": ("Trained steps, counted from the last one", "steps", ("interval",)),
    "policy": ("The policy's distance from the one that sampled", "", (
        "policy/approx_kl", "policy/clip_frac", "policy/ratio_max_dev")),
    "reference": ("The policy's distance from the pretrained one", "KL, nats per latent dimension", (
        "policy/kl_reference",)),
    "preference": ("Winner likelier than loser, against the pretrained policy", "share of couples", (
        "policy/preference_accuracy", "select/couples")),
}


def read_columns(file: Path) -> dict[str, list[tuple[float, float]]]:
    """Column -> points (reward queries, value); rows without a count of queries are left out."""
    columns: dict[str, list[tuple[float, float]]] = {}
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if not row.get(QUERIES):
                continue
            for name, value in row.items():
                if value and name and name != QUERIES:
                    columns.setdefault(name, []).append((float(row[QUERIES]), float(value)))
    return columns


def draw_plots(metrics: Path, folder: Path) -> list[Path]:
    """One PNG for each topic that has points."""
    if not metrics.is_file():
        return []
    columns = read_columns(metrics)
    drawn = []
    for name, (title, label, starts) in TOPICS.items():
        shown = {column: points for column, points in columns.items() if column.startswith(starts)}
        if name in ("rewards", "details"):
            shown = {c: points for c, points in shown.items() if (name == "details") == _is_detail(c, shown)}
        if shown:
            draw = _draw_apart if name == "rewards" else _draw
            drawn.append(draw(shown, title, label, folder / f"{name}.png"))
    return drawn


def _is_detail(column: str, columns: Iterable[str]) -> bool:
    """Whether a figure is a part of another one: `eval/verifier_relation` of `eval/verifier`."""
    return any(column.startswith(f"{other}_") for other in columns)


def _trained(column: str) -> str:
    """The column that says of the trained prompts what this one says of the held-out ones."""
    group, _, name = column.partition("/")
    return f"eval/{name}" if group == "heldout" else column.removesuffix("_heldout")


def _colours(columns: Iterable[str]) -> dict[str, str]:
    """One colour for each figure, on trained and on held-out prompts."""
    figures = sorted({_trained(column) for column in columns})
    return {column: style.colour(figures.index(_trained(column)), len(figures)) for column in columns}


def _draw(columns: dict[str, Sequence[tuple[float, float]]], title: str, label: str, file: Path) -> Path:
    with style.page(file, 7.6, 3.4) as (_, grid):
        _lines(grid[0, 0], columns)
        grid[0, 0].set(title=title, xlabel="reward queries", ylabel=label)
        style.legend_beside(grid[0, 0])
    return file


def _draw_apart(columns: dict[str, Sequence[tuple[float, float]]], title: str, label: str, file: Path) -> Path:
    """A panel for each figure: scorers have scales of their own."""
    figures = list(dict.fromkeys(_trained(column) for column in sorted(columns)))
    wide = math.ceil(math.sqrt(len(figures)))
    high = math.ceil(len(figures) / wide)
    with style.page(file, 0.4 + 3.6 * wide, 0.5 + 2.3 * high, high, wide, sharex=True) as (sheet, grid):
        sheet.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        sheet.supxlabel("reward queries", fontsize=9)
        sheet.supylabel(label, fontsize=9)
        for axes in grid.flat[len(figures):]:
            axes.set_visible(False)
        for axes, figure in zip(grid.flat, figures, strict=False):
            _lines(axes, {column: points for column, points in columns.items() if _trained(column) == figure})
            axes.tick_params(labelbottom=True)  # the panel below it may be empty
            axes.legend()
    return file


def _lines(axes: Axes, columns: dict[str, Sequence[tuple[float, float]]]) -> None:
    colours = _colours(columns)
    for column, points in sorted(columns.items()):
        line = "-" if _trained(column) == column else "--"
        marker = "o" if len(points) < 15 else None
        axes.plot(*zip(*sorted(points), strict=True), line, label=column, color=colours[column], marker=marker,
                  markersize=3)
