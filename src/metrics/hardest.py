"""The samples that a classifier finds hardest, as a grid of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from src.core import style
from src.core.console import warn
from src.core.errors import UserError
from src.metrics import fonts
from src.metrics.scores import Samples, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 21  # characters that fit under a picture


def hardest_rows(scores: Scores | Samples, count: int = 24) -> Tensor:
    """Rows (not indices: ``scores.index[rows]``) of the samples with the largest NLL, hardest first."""
    return scores.nll.argsort(descending=True, stable=True)[:count]


def hardest(pictures: Tensor, labels: Tensor, predicted: Tensor, confidence: Tensor, classes: Sequence[str],
            file: Path, title: str = "Hardest pictures", columns: int = 8) -> Path:
    """Grid of pictures, uint8 [n, C, H, W] with 1 or 3 channels, enlarged without smoothing.

    Under each one its true class and, framed red where it is another one, the predicted class with its confidence
    (``labels``, ``predicted``, ``confidence``: [n]; ``classes``: the names).
    """
    if not len(pictures):
        raise UserError("0 pictures", "a grid needs at least one")
    names, family = _writable(classes, {*labels.tolist(), *predicted.tolist()}, file.name)
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    with style.page(file, 1.35 * columns + 0.1, 1.72 * rows + 0.45, rows, columns) as (figure, grid):
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, picture, *row in zip(grid.flat, pictures, labels, predicted, confidence, strict=False):
            label, guess, sure = (value.item() for value in row)
            _picture(axes, picture, style.GREEN if label == guess else style.RED)
            axes.set_xlabel(_caption(names[label], names[guess], sure), fontsize=7, labelpad=3, linespacing=1.25,
                            fontfamily=family)
    return file


def _writable(classes: Sequence[str], shown: Iterable[int], page: str) -> tuple[dict[int, str], list[str]]:
    """Names of the classes that are shown, and fonts for them; a name that no font can write becomes a number."""
    family, missing = fonts.families("".join(classes[one] for one in shown))
    names = {one: f"class {one}" if missing & set(classes[one]) else classes[one] for one in sorted(shown)}
    if lost := [f"{one} = {classes[one]}" for one, name in names.items() if name != classes[one]]:
        warn(f"no font of this machine can write all names of classes, so {page} shows numbers, counted from 0: "
             + ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if lost[5:] else ""))
    return names, family


def _caption(label: str, guess: str, sure: float) -> str:
    mark = f"✓ {sure:.0%}" if label == guess else f"✗ {guess} {sure:.0%}"
    # Names of classes often have underscores, behind which a line may break.
    return "\n".join(line.replace("_ ", "_") for text in (label, mark)
                     for line in style.wrapped(text.replace("_", "_ "), WIDTH, most=2))


def _picture(axes: Axes, picture: Tensor, frame: str) -> None:
    axes.set_axis_on()
    axes.grid(False)
    shown = picture[0] if len(picture) == 1 else picture.permute(1, 2, 0)
    axes.imshow(shown.cpu().numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=frame, linewidth=1.5)
