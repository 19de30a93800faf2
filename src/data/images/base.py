"""What a method may ask of any set of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from src.core.errors import UserError
from src.data.images.batch import Batch
from src.data.images.order import Order, epoch_order


class Loader(Protocol):
    """Batches, and how many."""

    def __iter__(self) -> Iterator[Batch]: ...
    def __len__(self) -> int: ...


class CountedLoader(Loader, Protocol):
    """Also says how many rows of each batch are no padding; those come first."""

    real: list[int]


class ImageData(ABC):
    """A set of labelled pictures of one size. The attributes are there after `load`."""

    name: str
    classes: list[str]
    channels: int
    size: int  # pixels a side
    scaled_to: int | None = None  # the shorter side in evaluation, of which the middle is cut out; None: shown whole
    mean: tuple[float, ...]  # of training pictures in [0, 1], one per channel
    std: tuple[float, ...]
    labels: Tensor  # [N], int64, on the CPU: of the base training set
    candidates: Tensor  # [n], int64, on the CPU: the base indices that are trained on
    fingerprint: str  # sha256 over each sample of the base training set and its label, in order

    @abstractmethod
    def load(self, device: torch.device) -> None:
        """Reads the files, once. Raises UserError for what the user can mend."""

    @abstractmethod
    def describe(self) -> str:
        """One line for the banner; needs no `load`."""

    @abstractmethod
    def size_of(self, split: str) -> int:
        """Pictures of "train", "val" or "test"; 0 if there is no such split."""

    @abstractmethod
    def train_loader(self, order: Order, *, epoch: int, seed: int) -> Loader:
        """Augmented batches in the given order."""

    @abstractmethod
    def eval_loader(self, split: str, *, batch_size: int, rank: int = 0, world: int = 1) -> CountedLoader:
        """A split in its own order, not augmented; `index` counts within the split."""

    @abstractmethod
    def pictures(self, split: str, index: list[int]) -> Tensor:
        """As a person would look at them: uint8 [n, channels, size, size] on the CPU. "train" counts as the base
        training set does."""

    def counts(self) -> str:
        """One line about what was loaded."""
        sizes = [f"{self.size_of(split):,d} {split}" for split in ("train", "val", "test") if self.has_split(split)]
        return f"{' / '.join(sizes)} pictures, {len(self.classes)} classes"

    def files_of(self, split: str) -> list[str]:
        """The file of each picture of a split, below data.root; empty where pictures are no files of the user's."""
        return []

    def has_split(self, split: str) -> bool:
        """Whether there is such a split."""
        return self.size_of(split) > 0

    def order(self, epoch: int, *, seed: int, batch_size: int, rank: int = 0, world: int = 1,
              paired: bool = False) -> Order:
        """See `epoch_order`."""
        return epoch_order(self.candidates, labels=self.labels, batch_size=batch_size, seed=seed, epoch=epoch,
                           rank=rank, world=world, paired=paired)

    def need_split(self, split: str) -> None:
        """Raises UserError if there is no such split."""
        if not self.has_split(split):
            there = [name for name in ("train", "val", "test") if self.has_split(name)]
            raise UserError(f"data={self.name}: there is no split {split}", f"it has {' and '.join(there)}",
                            "hold some out of training with data.val_share=0.1" if split == "val" else "")
