"""Loader over pictures that worker processes read. What is known of an epoch goes to the device at its start."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from src.data.images.augment import cut_out
from src.data.images.batch import Batch
from src.data.images.normalise import Normaliser
from src.data.images.stream import Key, Stream

PLAIN = -1  # in place of an epoch: pictures are not augmented


class StreamLoader:
    """The batches of an epoch. `real`: rows of each batch that are no padding."""

    def __init__(self, stream: Stream, keys: list[list[Key]], *, labels: Tensor, index: Tensor, real: list[int],
                 normalise: Normaliser, device: torch.device, centre: Tensor | None = None, cutout: int = 0) -> None:
        """`keys`: of each batch's pictures. `labels`, `index` [rows of the epoch] and `centre` [rows, 2]: what the
        batches say of them, one after the other, and where squares of `cutout` pixels are cut out."""
        self.stream, self.keys, self.labels, self.index, self.real = stream, keys, labels, index, real
        self.normalise, self.device, self.centre, self.cutout = normalise, device, centre, cutout

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Batch]:
        labels, index, centre = (None if part is None else part.to(self.device, non_blocking=True)
                                 for part in (self.labels, self.index, self.centre))
        first = 0
        for pictures in self.stream(self.keys):
            span = slice(first, first + len(pictures))
            images = self.normalise(pictures.to(self.device, non_blocking=True))
            if self.cutout:
                cut_out(images, centre[span], self.cutout)
            yield Batch(images, labels[span], index[span])
            first += len(pictures)
