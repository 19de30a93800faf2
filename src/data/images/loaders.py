"""Loaders over pictures in memory. All that can be known at the start of an epoch is looked up there, for all batches
at once; a batch is then a few slices and one gather, and nothing waits for the device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from src.data.images.augment import Augmentation, Views, cut_out, draw_views, plain_views
from src.data.images.batch import Batch
from src.data.images.order import Order, deal
from src.data.images.store import Store


class TrainLoader:
    """Augmented batches of an epoch in the given order."""

    def __init__(self, store: Store, labels: Tensor, order: Order, augmentation: Augmentation, *, seed: int,
                 epoch: int) -> None:
        """`labels` [N]: of the base training set, on the store's device."""
        self.store, self.labels, self.order = store, labels, order
        self.augmentation, self.seed, self.epoch = augmentation, seed, epoch

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        device = self.labels.device
        batches = [self.order.rows(number) for number in range(len(self.order))]
        rows = torch.cat(batches)
        views = draw_views(self.augmentation, len(self.labels), self.store.size, seed=self.seed, epoch=self.epoch)
        rows, views = rows.to(device, non_blocking=True), views[rows].to(device)
        yield from _batches(self.store, rows, views, self.labels[rows], rows, [len(batch) for batch in batches],
                            cutout=self.augmentation.cutout)


class EvalLoader:
    """A split in its own order, not augmented. `real`: rows of each batch that are no padding."""

    def __init__(self, store: Store, rows: Tensor, labels: Tensor, *, batch_size: int, rank: int = 0,
                 world: int = 1) -> None:
        """`rows` and `labels` [n]: of the split, as numbers in the store; on the CPU."""
        self.store, self.rows, self.labels = store, rows, labels
        self.order = deal(torch.arange(len(rows)), batch_size=batch_size, rank=rank, world=world)
        self.real = self.order.real

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        device, index = self.store.pixels.device, self.order.index
        views = plain_views(self.store.pad, len(index)).to(device)
        rows, labels, index = (part.to(device) for part in (self.rows[index], self.labels[index], index))
        yield from _batches(self.store, rows, views, labels, index, self.order.sizes)


def _batches(store: Store, rows: Tensor, views: Views, labels: Tensor, index: Tensor, sizes: list[int],
             cutout: int = 0) -> Iterator[Batch]:
    """Cuts an epoch's rows into batches of the given sizes. All tensors [rows of the epoch], on the device."""
    start, step = store.places(rows, views)
    first = 0
    for size in sizes:
        span = slice(first, first + size)
        images = store.gather(start[span], step[span])
        if cutout:
            cut_out(images, views.centre[span], cutout)
        yield Batch(images, labels[span], index[span])
        first += size
