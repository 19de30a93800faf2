"""A set of pictures that is small, learnable and needs no file: one bright quarter, four classes."""

from __future__ import annotations

import torch

from src.data.images.memory import MemoryData, Pictures

COUNTS = {"train": 45, "val": 13, "test": 21}


class Quarters(MemoryData):
    """8 x 8 pictures; `broken` makes the loss of one batch NaN, `relabel` changes one label."""

    name = "quarters"
    mean, std = (0.5,) * 3, (0.25,) * 3

    def __init__(self, *, relabel: bool = False, val: bool = True) -> None:
        super().__init__(pad=1, flip=False, cutout=0)
        self.relabel, self.val = relabel, val

    def describe(self) -> str:
        return "quarters"

    def read(self) -> dict[str, Pictures]:
        self.classes = ["upper left", "upper right", "lower left", "lower right"]
        chance = torch.Generator().manual_seed(0)
        splits = {name: _drawn(count, chance) for name, count in COUNTS.items() if self.val or name != "val"}
        if self.relabel:
            splits["train"].labels[0] = (splits["train"].labels[0] + 1) % 4
        return splits


def _drawn(count: int, chance: torch.Generator) -> Pictures:
    labels = torch.randint(4, (count,), generator=chance)
    pixels = torch.randint(0, 120, (count, 8, 8, 3), generator=chance, dtype=torch.uint8)
    for picture, label in zip(pixels, labels.tolist(), strict=True):
        top, left = 4 * (label // 2), 4 * (label % 2)
        picture[top : top + 4, left : left + 4] += 70
    return Pictures(pixels, labels, [f"{count}/{number}" for number in range(count)])
