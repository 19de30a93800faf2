"""The protocol as pictures: a row for each prompt, a column for each state, the same noise in a row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from src.core import style
from src.methods.b2diffurl.evaluation import SPLITS
from src.methods.b2diffurl.pictures import Gallery, draw_picture, title

PER_SPLIT = 4  # prompts
MOST = 10  # columns; of more states, evenly spread ones are shown
SIDE, LABEL = 1.35, 1.7  # inches: a picture, and the prompt beside a row


def draw_grid(columns: Mapping[str, Gallery], file: Path) -> Path:
    """All galleries hold the same prompts; training prompts above, held-out ones below."""
    shown = _spread(list(columns), MOST)
    first = columns[shown[0]]
    lines = [row for split in dict.fromkeys(first.splits)
             for row in _spread([row for row, name in enumerate(first.splits) if name == split], PER_SPLIT)]
    with style.sheet(file, LABEL + SIDE * len(shown), 0.4 + (SIDE + 0.2) * len(lines)) as figure:
        grid = figure.subplots(len(lines), len(shown), squeeze=False)
        for place, row in enumerate(lines):
            split = SPLITS.get(first.splits[row], first.splits[row])
            for axes, label in zip(grid[place], shown, strict=True):
                draw_picture(axes, columns[label], row)
                if place == 0:
                    axes.set_title(label, fontsize=8.5)
            text = f"{title(first.prompts[row])}\n({split})"
            grid[place, 0].set_ylabel(text, fontsize=7.5, rotation=0, ha="right", va="center", labelpad=6)
    return file


def _spread(items: list, most: int) -> list:
    """At most `most` of the items, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]
