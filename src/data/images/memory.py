"""Sets that fit into memory: uint8 tensors on the device, augmentation as tensor operations there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from src.core.errors import UserError
from src.data.images import fingerprint
from src.data.images.augment import Augmentation
from src.data.images.base import ImageData
from src.data.images.holdout import hold_out, without
from src.data.images.loaders import EvalLoader, TrainLoader
from src.data.images.order import Order
from src.data.images.rules import insist, option_problems
from src.data.images.store import Store


@dataclass
class Pictures:
    """Labelled pictures of one split, on the CPU."""

    pixels: Tensor  # uint8 [n, size, size, channels]
    labels: Tensor  # int64 [n]
    names: list[str] = field(default_factory=list)  # of the samples; none: the fingerprint is that of the pixels
    unusable: list[int] = field(default_factory=list)  # samples that count but are neither trained on nor evaluated


@dataclass
class _Split:
    store: Store
    rows: Tensor  # [n], numbers in the store
    labels: Tensor  # [n]


class MemoryData(ImageData):
    """Subclasses say what they are and `read` their pictures. Shares of train are held out as "val" and "test"."""

    fill = 0  # 0 to 255: the background, which padding shows too

    def __init__(self, *, pad: int, flip: bool, cutout: int, val_share: float = 0.0, test_share: float = 0.0,
                 split_seed: int = 0) -> None:
        insist(option_problems({"pad": pad, "cutout": cutout, "val_share": val_share, "test_share": test_share}))
        self.augmentation = Augmentation(pad, flip, cutout)
        self.shares, self.split_seed = {"val": val_share, "test": test_share}, split_seed
        self._device: torch.device | None = None
        self._splits: dict[str, _Split] = {}

    @abstractmethod
    def read(self) -> dict[str, Pictures]:
        """The splits, "train" among them; may set `classes`. Raises UserError for files that are missing or broken."""

    def load(self, device: torch.device) -> None:
        """See `ImageData.load`."""
        device = torch.device(device)
        if self._device == device:
            return
        read = self.read()
        for split, pictures in read.items():
            check_pictures(self.name, split, pictures, self.classes)
        train = read["train"]
        self.size, self.channels = train.pixels.shape[1], train.pixels.shape[3]
        self.labels = train.labels
        self.candidates, held = hold_out(self.labels, self.shares, self.split_seed, train.unusable)
        self.fingerprint = self._fingerprint(train)
        self._splits = {name: self._stored(name, split, device) for name, split in read.items()}
        for split, rows in held.items():
            self._splits[split] = _Split(self._splits["train"].store, rows, self.labels[rows])
        self._labels = self.labels.to(device)
        self._device = device

    def _stored(self, name: str, split: Pictures, device: torch.device) -> _Split:
        """Only training pictures are padded; they all keep their numbers."""
        base = name == "train"
        store = Store(split.pixels, pad=self.augmentation.pad if base else 0, fill=self.fill, mean=self.mean,
                      std=self.std, device=device)
        rows = without(len(split.labels), [] if base else split.unusable)
        return _Split(store, rows, split.labels[rows])

    def _fingerprint(self, train: Pictures) -> str:
        if train.names:
            return fingerprint.of_names(train.names, train.labels, self.classes)
        return fingerprint.of_pictures(train.pixels, train.labels, self.classes)

    def size_of(self, split: str) -> int:
        """See `ImageData.size_of`."""
        if split == "train":
            return len(self.candidates)
        return len(self._splits[split].rows) if split in self._splits else 0

    def rows_of(self, split: str) -> Tensor:
        """Places of a split's pictures among those that were read, [n]."""
        return self._splits[split].rows

    def train_loader(self, order: Order, *, epoch: int, seed: int) -> TrainLoader:
        """See `ImageData.train_loader`."""
        return TrainLoader(self._splits["train"].store, self._labels, order, self.augmentation, seed=seed, epoch=epoch)

    def eval_loader(self, split: str, *, batch_size: int, rank: int = 0, world: int = 1) -> EvalLoader:
        """See `ImageData.eval_loader`."""
        self.need_split(split)
        held = self._splits[split]
        return EvalLoader(held.store, held.rows, held.labels, batch_size=batch_size, rank=rank, world=world)

    def pictures(self, split: str, index: list[int]) -> Tensor:
        """See `ImageData.pictures`."""
        self.need_split(split)
        held = self._splits[split]
        return held.store.pictures(held.rows[torch.as_tensor(index, dtype=torch.long)])


def check_pictures(name: str, split: str, pictures: Pictures, classes: Sequence[str]) -> None:
    """Raises UserError for a split without pictures and for labels that number no class."""
    if len(pictures.labels) == 0:
        raise UserError(f"data={name}: the split {split} has no pictures", "each split needs at least one")
    wrong = ((pictures.labels < 0) | (pictures.labels >= len(classes))).nonzero()[:, 0]
    if len(wrong):
        first = int(wrong[0])
        told = pictures.names[first] if pictures.names else f"sample {first}"
        raise UserError(f"data={name}: {told} of {split} has the label {int(pictures.labels[first])}",
                        f"labels number the {len(classes)} classes from 0 to {len(classes) - 1}",
                        f"correct the labels; {len(wrong)} are out of range")
