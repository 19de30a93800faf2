"""The figures of runs at the same cost: read off each run's own curve, between its evaluations on a straight line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from src.core.errors import UserError
from src.sweeps.curve import Points, read_points
from src.sweeps.runs import UNTRAINED, Run


def parsed(text: str) -> tuple[str, float]:
    """`cost/unet_evaluations=15648` as column and value."""
    column, _, value = text.partition("=")
    try:
        return column, float(value.replace("_", ""))
    except ValueError:
        raise UserError(f"--at {text}", "this is not a column and a number",
                        "write --at cost/unet_evaluations=15000") from None


def at_cost(runs: Sequence[Run], names: Sequence[str], column: str, value: float) -> list[Run]:
    """The runs with the figures `names` where `column` of their metrics.csv reaches `value`.

    Runs that never do have none of them. Raises ``UserError`` if no figure is named or no run reaches the value.
    """
    if not names:
        raise UserError(f"--at {column}={value:g}", "it needs to know which figures", "add --figures eval/all_right")
    found = []
    for run in runs:
        if run.method == UNTRAINED:
            found.append(run.with_only(names))
            continue
        curves = {name: read_points(run.folder / "metrics.csv", name, column) for name in names}
        figures = {name: _between(points, value) for name, points in curves.items()}
        found.append(replace(run, figures={name: read for name, read in figures.items() if read is not None}))
    if not any(run.figures for run in found if run.method != UNTRAINED):
        raise UserError(f"--at {column}={value:g}", "no run's metrics.csv has these figures on both sides of it",
                        "take a column and a value out of a run's metrics.csv")
    return found


def _between(points: Points, value: float) -> float | None:
    if value in points:
        return points[value]
    for (low, before), (high, after) in pairwise(sorted(points.items())):
        if low < value < high:
            return before + (after - before) * (value - low) / (high - low)
    return None
