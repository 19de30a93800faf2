"""How the project's charts look; the only place that knows matplotlib's settings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

INK, PALE = "#3a3a3a", "#b9bec4"
BLUE, ORANGE, GREEN, RED, PURPLE, TEAL = "#2f6690", "#d1812f", "#5a8f5c", "#b5483a", "#77609b", "#3f9a9a"
PALE_BLUE, PALE_ORANGE = "#bdd2e3", "#f2d8bb"
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, TEAL)  # distinct in print and to the colour-blind by lightness
SETTINGS: dict[str, Any] = {
    "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.labelsize": 9,
    "legend.fontsize": 8, "legend.framealpha": 0.85, "legend.edgecolor": "none",
    "xtick.labelsize": 8, "ytick.labelsize": 8,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": PALE, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e8eb",
    "grid.linewidth": 0.7, "axes.axisbelow": True, "lines.linewidth": 1.6, "savefig.facecolor": "white",
}


def colour(place: int, of: int = 0) -> str:
    """The colour of the line number `place`; of more lines `of` than the usual ones suffice for, one of twenty."""
    if of <= len(CYCLE):
        return CYCLE[place % len(CYCLE)]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    palette = colormaps["tab20"].colors
    return to_hex(palette[place % len(palette)])


def wrapped(text: str, width: int, most: int | None = None) -> list[str]:
    """Lines of at most `width` characters, none for an empty text; a paragraph is cut after `most` lines."""
    return [line for paragraph in text.splitlines()
            for line in textwrap.wrap(paragraph, width, max_lines=most, placeholder="…")]


@contextmanager
def page(file: Path, width: float, height: float, rows: int = 1, columns: int = 1,
         **layout: Any) -> Iterator[tuple[Figure, np.ndarray[Any, Any]]]:
    """A figure of `width` x `height` inches with axes [rows, columns], written to `file` when the block is left."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS), sheet(file, width, height) as figure:
        figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)
        yield figure, figure.subplots(rows, columns, squeeze=False, **layout)


@contextmanager
def sheet(file: Path, width: float, height: float, dpi: int = 130, layout: str = "constrained") -> Iterator[Figure]:
    """An empty figure in matplotlib's own look, for pictures side by side; else as `page`.

    Built without pyplot, which keeps every figure in memory and wants a display.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout=layout)
    yield figure
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def percent(axes: Axes, which: str = "xy") -> None:
    """Write the ticks of shares (0 to 1) as percent."""
    from matplotlib.ticker import PercentFormatter

    for name in which:
        getattr(axes, f"{name}axis").set_major_formatter(PercentFormatter(1, decimals=0))


def shifted(axes: Axes, points: float) -> Transform:
    """Data coordinates, that many points to the right: for what would else stand on the same place."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def legend_beside(axes: Axes, title: str = "") -> None:
    """A legend to the right of the axes, where no data can be under it."""
    axes.legend(title=title, loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=7, title_fontsize=7,
                alignment="left", borderaxespad=0.3, handlelength=1.6)
