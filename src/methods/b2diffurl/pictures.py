"""The picture sheet: the same prompts from the same noise, before and after training, with scores below them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.core import style
from src.methods.b2diffurl.evaluation import SPLITS, Tally

PER_SPLIT = 8  # prompts on the sheet
FEWEST = 3  # columns, so that there is room for the title
TITLE = 72  # characters of a prompt that stand above its pictures


@dataclass(frozen=True)
class Gallery:
    """One picture for each of a few prompts of every split, as an evaluation drew and scored them."""

    pictures: np.ndarray  # uint8 [prompts, height, width, 3]
    prompts: list[str]
    splits: list[str]
    captions: list[str]  # scores, as they stand under the picture
    right: list[bool] | None  # whether a verifier found everything right, where there is one

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, pictures=self.pictures, prompts=np.array(self.prompts), splits=np.array(self.splits),
                 captions=np.array(self.captions), right=np.array(self.right or []))

    @classmethod
    def load(cls, file: Path) -> Gallery:
        with np.load(file) as stored:
            return cls(stored["pictures"], stored["prompts"].tolist(), stored["splits"].tolist(),
                       stored["captions"].tolist(), stored["right"].tolist() or None)


def gallery_of(tally: Tally, words: list[str], scorers: list[str]) -> Gallery:
    """The first picture of prompts spread evenly over each split; `scorers` are the figures to print under it."""
    index = torch.cat(tally.prompt_index).tolist()
    kept = torch.cat(tally.pictured)
    first = {prompt: row for row, prompt in reversed(list(enumerate(index))) if kept[row]}
    chosen = []
    for split in dict.fromkeys(tally.split):
        rows = sorted(row for row in first.values() if tally.split[row] == split)
        chosen += rows[:: max(1, len(rows) // PER_SPLIT)][:PER_SPLIT]
    scores = {name: torch.cat([part[name] for part in tally.scores])[chosen].tolist() for name in tally.scores[0]}
    captions = [" ".join(f"{name} {scores[name][place]:.2f}" for name in scorers) for place in range(len(chosen))]
    right = [value == 1 for value in scores["all_right"]] if "all_right" in scores else None
    pictures = torch.cat(tally.pictures)[kept.cumsum(0)[chosen] - 1].permute(0, 2, 3, 1).numpy()
    prompts, splits = [words[index[row]] for row in chosen], [tally.split[row] for row in chosen]
    return Gallery(pictures, prompts, splits, captions, right)


def draw_sheet(rows: dict[str, Gallery], file: Path) -> Path:
    """One row of pictures for each label ("before", "after") and split; all galleries hold the same prompts."""
    first = next(iter(rows.values()))
    splits = list(dict.fromkeys(first.splits))
    height = len(splits) * (0.9 + 1.45 * len(rows))
    columns = max(FEWEST, *(first.splits.count(split) for split in splits))
    with style.sheet(file, 1.35 * columns + 0.9, height, dpi=110) as figure:
        grid = figure.subplots(len(splits) * len(rows), columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for place, split in enumerate(splits):
            members = [row for row, name in enumerate(first.splits) if name == split]
            for line, (label, gallery) in enumerate(rows.items()):
                _draw_row(grid[place * len(rows) + line], gallery, members, f"{label}\n{SPLITS.get(split, split)}",
                          titled=line == 0)
    return file


def _draw_row(grid: np.ndarray, gallery: Gallery, members: list[int], label: str, *, titled: bool) -> None:
    """Pictures of one label and split; `titled` with their prompts above."""
    for axes, row in zip(grid, members, strict=False):
        draw_picture(axes, gallery, row)
        if titled:
            axes.set_title(title(gallery.prompts[row]), fontsize=7, pad=4)
    grid[0].set_ylabel(label, fontsize=8)


def title(prompt: str) -> str:
    """A prompt in a few short lines, its end left out where it is long."""
    return textwrap.fill(textwrap.shorten(prompt, TITLE, placeholder=" ..."), 18)


def draw_picture(axes, gallery: Gallery, row: int) -> None:
    axes.axis("on")
    axes.imshow(gallery.pictures[row], interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(gallery.captions[row], fontsize=6.5, labelpad=2)
    colour = "0.5" if gallery.right is None else "tab:green" if gallery.right[row] else "tab:red"
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2)
