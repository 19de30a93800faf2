"""A small set in memory, and folders of small pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.data.images.memory import MemoryData, Pictures

CLASSES = ("cat", "dog", "eel")


class Toy(MemoryData):
    """61 training and 23 test pictures of noise, 8 x 8, three classes of unequal size."""

    name, fill = "toy", 77
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)

    def __init__(self, *, pad: int = 2, flip: bool = True, cutout: int = 0, val_share: float = 0.0) -> None:
        super().__init__(pad=pad, flip=flip, cutout=cutout, val_share=val_share)
        self.classes = list(CLASSES)
        chance = torch.Generator().manual_seed(0)
        self.given = {split: Pictures(torch.randint(256, (count, 8, 8, 3), generator=chance, dtype=torch.uint8),
                                      torch.tensor([0, 0, 1, 2, 0] * count)[:count])
                      for split, count in (("train", 61), ("test", 23))}

    def describe(self) -> str:
        return "toy"

    def read(self) -> dict[str, Pictures]:
        return self.given


@pytest.fixture
def toy() -> Callable[..., Toy]:
    """Makes a loaded set of its options."""
    def make(**options) -> Toy:
        made = Toy(**options)
        made.load("cpu")
        return made

    return make


@pytest.fixture
def raw_toy() -> type[Toy]:
    """The set's class, to be spoilt before it is loaded."""
    return Toy


@pytest.fixture
def picture_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a root with a folder per split and class, `count` pictures each, of sizes around 40 x 30."""
    def make(splits: Iterable[str] = ("train", "val"), classes: Iterable[str] = CLASSES, count: int = 4) -> Path:
        chance = np.random.default_rng(0)
        for split in splits:
            for kind in classes:
                folder = tmp_path / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    pixels = chance.integers(256, size=(30 + number, 40 - number, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number}.png")
        return tmp_path

    return make
