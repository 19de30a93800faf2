"""`data=cifar10 | cifar100 | fashion_mnist`: read by torchvision's own classes, then kept as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torchvision import datasets

from src.core.errors import UserError
from src.data.images.memory import MemoryData, Pictures
from src.data.images.sources import how_to_fill


class TorchvisionData(MemoryData):
    """Subclasses name torchvision's class."""

    kind: type[datasets.VisionDataset]

    def __init__(
        self,
        *,
        root: str = "datasets",  # folder that holds the files, or is filled
        download: bool = True,  # fetch the files if they are not there
        val_share: float = 0.0,  # of each class, held out of training for validation; 0: none
        split_seed: int = 0,  # of the choice of those; not the run's seed, so that all runs share their split
        pad: int = 4,  # pixels around a training picture before it is cropped at random; 0: no crop
        flip: bool = True,  # training pictures are mirrored with a chance of one half
        cutout: int = 0,  # side in pixels of a square that is cut out of training pictures; 0: none
    ) -> None:
        """Raises UserError for numbers out of range."""
        super().__init__(pad=pad, flip=flip, cutout=cutout, val_share=val_share, split_seed=split_seed)
        self.root, self.download = root, download

    def describe(self) -> str:
        """One line for the banner."""
        held = f"; {self.shares['val']:.0%} of training held out" if self.shares["val"] else ""
        return f"{self.name} in {self.root}{held}; augmented by {self.augmentation}"

    def read(self) -> dict[str, Pictures]:
        """Train and test."""
        sets = self._fetch(Path(self.root).expanduser())
        self.classes = list(sets["train"].classes)
        return {split: _pictures(held) for split, held in sets.items()}

    def _fetch(self, root: Path) -> dict[str, Any]:
        """Torchvision's data sets, downloaded by one process if they are not there."""
        try:
            return self._open(root, download=False)
        except RuntimeError as error:
            if not self.download:
                raise UserError(how_to_fill(self.name, self.root, "files are missing or damaged", False)) from error
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f".{self.name}.lock"):
                return self._open(root, download=True)
        except (OSError, RuntimeError) as error:
            reason = f"the files are not there and could not be fetched ({_first_line(error)})"
            raise UserError(how_to_fill(self.name, self.root, reason, True)) from error

    def _open(self, root: Path, download: bool) -> dict[str, Any]:
        return {split: self.kind(root, train=split == "train", download=download) for split in ("train", "test")}


def _pictures(held: Any) -> Pictures:
    """Grey pictures get a channel."""
    pixels = torch.as_tensor(held.data)
    labels = torch.as_tensor(held.targets, dtype=torch.long)
    return Pictures(pixels if pixels.ndim == 4 else pixels[..., None], labels)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(":. ")


class Cifar10(TorchvisionData):
    """60,000 photographs of 10 kinds of things, 32 x 32, colour."""

    name, kind = "cifar10", datasets.CIFAR10
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Cifar100(TorchvisionData):
    """60,000 photographs of 100 kinds of things, 32 x 32, colour."""

    name, kind = "cifar100", datasets.CIFAR100
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)


class FashionMnist(TorchvisionData):
    """70,000 pictures of 10 kinds of clothing, 28 x 28, grey."""

    name, kind = "fashion_mnist", datasets.FashionMNIST
    mean, std = (0.2860,), (0.3530,)
