"""The panels of parameters.png: the results of the runs with each value of a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.core import style
from src.sweeps.paired import spread
from src.sweeps.rows import Row
from src.sweeps.scale import number, scale_of, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 6  # values of a second parameter that are drawn as lines of their own
APART = 3.5     # points between lines that would stand on the same place
WIDTH = 150.0   # ... that such lines share at most where the places are names
MARGIN = 0.1    # of a number line, so that moved lines stay inside
LACKING = "-"   # stands for a value that a run was not given


def text(row: Row, key: str) -> str:
    """What the run was given for a key, or its seed."""
    return row.values.get(key, str(row.seed) if key == "seed" else LACKING)


def draw_panel(axes: Axes, rows: Sequence[Row], key: str, other: str | None, title: str, means: bool) -> None:
    """The runs' objectives over the values of ``key``, a line for each value of ``other``, which the legend calls
    ``title``. ``means``: whether lines go through the means."""
    scale = scale_of([text(row, key) for row in rows], nominal=key == "seed")
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(text(row, other) if other else "", []).append(row)
    if len(groups) > MOST_LINES:
        groups = {"": list(rows)}
    ordered = sorted(groups.items(), key=lambda pair: number(pair[0]) or 0.0)
    labels = shortened([value for value, _ in ordered])
    apart = APART if scale.ordered else min(3 * APART, WIDTH / len(scale.names) / len(groups))
    for place, (label, (_, some)) in enumerate(zip(labels, ordered, strict=True)):
        _line(axes, [(scale.places[text(row, key)], row.objective or 0.0) for row in some], style.colour(place), label,
              means, scale.ordered, apart * (place - (len(groups) - 1) / 2) * means)
    scale.draw(axes)
    if len(groups) > 1:
        if not scale.names:
            axes.margins(x=MARGIN)
        style.legend_beside(axes, title)


def _line(axes: Axes, points: Sequence[tuple[float, float]], colour: str, label: str, means: bool, joined: bool,
          shift: float) -> None:
    """Every run as a dot; of a grid the mean of each value with its standard deviation, where values repeat.

    Of a search a mean would say little: it looks where it has found good values before. ``shift``: points to the right.
    """
    values: dict[float, list[float]] = {}
    for place, value in points:
        values.setdefault(place, []).append(value)
    spreads = [(place, spread(some)) for place, some in sorted(values.items())]
    repeated = means and any(cell.std is not None for _, cell in spreads)
    artists = axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, markeredgewidth=0,
                        alpha=0.4 if repeated else 0.9, label=None if means else label)
    if means:
        cells = [cell for _, cell in spreads]
        artists += axes.errorbar([place for place, _ in spreads], [cell.mean for cell in cells],
                                 [cell.std or 0 for cell in cells], color=colour, fmt="-" if joined else "_",
                                 markersize=10, capsize=3 * repeated, label=label).get_children()
    if shift:
        moved = style.shifted(axes, shift)
        for artist in artists:
            artist.set_transform(moved)
