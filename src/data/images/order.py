"""Which sample is trained when, and by which process: a function of (seed, epoch) alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from src.data.images.chance import generator
from src.data.images.rules import batch_problem, insist, share_problem


@dataclass(frozen=True)
class Order:
    """An epoch as one process sees it. Rows are numbers in the base training set; all tensors are on the CPU."""

    index: Tensor  # [rows], int64: the batches one after the other, padding included
    partner: Tensor | None  # [rows]: beside each row another of its class (itself if it is the only one)
    sizes: list[int]  # rows of each batch, padding included, partners not
    real: list[int]  # of these, those that are no padding; they come first
    total: list[int]  # real rows of each batch over all processes

    def __len__(self) -> int:
        """Batches."""
        return len(self.sizes)

    def start(self, batch: int) -> int:
        """Place of a batch's first row in `index`; only the last batch may be shorter than the others."""
        return batch * self.sizes[0]

    def rows(self, batch: int) -> Tensor:
        """What the loader puts into a batch: its samples and then, if paired, their partners. [size] or [2 size]."""
        span = slice(self.start(batch), self.start(batch) + self.sizes[batch])
        return self.index[span] if self.partner is None else torch.cat([self.index[span], self.partner[span]])


def epoch_order(candidates: Tensor, *, labels: Tensor, batch_size: int, seed: int, epoch: int, rank: int = 0,
                world: int = 1, paired: bool = False) -> Order:
    """The order of one epoch.

    `candidates` [n]: the base indices to train on. `labels` [N]: of the whole base training set. `batch_size` is the
    total over all processes: batch i is permutation[i * batch_size :][: batch_size], the same samples for any number of
    them. Raises UserError for fewer samples than a batch, and for one that the processes cannot share equally.
    """
    insist(share_problem(batch_size, world) or batch_problem(batch_size, world, len(candidates)))
    chance = generator(seed, epoch, "order")
    shuffled = candidates[torch.randperm(len(candidates), generator=chance)]
    order = deal(shuffled, batch_size=batch_size // world, rank=rank, world=world, least=2)
    if not paired:
        return order
    partner = torch.full_like(labels, -1)
    partner[candidates] = partners(candidates, labels, generator(seed, epoch, "partners"))
    return Order(order.index, partner[order.index], order.sizes, order.real, order.total)


def deal(rows: Tensor, *, batch_size: int, rank: int = 0, world: int = 1, least: int = 1) -> Order:
    """Cuts `rows` [n] into batches of `batch_size` for each process, and each batch into contiguous shares, one
    per process.

    The shares of the last batch may differ by one row; a process that has less repeats its first row (the batch's
    first row, if it has none) so that all have as many, and `least` at least: there is no batch normalisation of a
    single picture where the network's last maps have one place.
    """
    whole = batch_size * world
    pieces, sizes, real, total = [], [], [], []
    for start in range(0, len(rows), whole):
        block = rows[start:start + whole]
        first, last = (len(block) * place // world for place in (rank, rank + 1))
        share = block[first:last]
        size = max(-(-len(block) // world), min(least, batch_size))
        spare = (share if len(share) else block)[:1].expand(size - len(share))
        pieces += [share, spare]
        sizes.append(size)
        real.append(len(share))
        total.append(len(block))
    return Order(torch.cat(pieces) if pieces else rows[:0], None, sizes, real, total)


def partners(candidates: Tensor, labels: Tensor, chance: torch.Generator) -> Tensor:
    """For each candidate [n] another one of its class, each with the same chance; itself if it is the only one. [n]"""
    of_candidate = labels[candidates]
    by_class = of_candidate.argsort(stable=True)  # places in `candidates`, class after class
    counts = of_candidate.bincount(minlength=1)
    starts = counts.cumsum(0) - counts
    kind = of_candidate[by_class]
    place = torch.arange(len(candidates)) - starts[kind]  # within the class
    others = counts[kind] - 1
    shift = 1 + (torch.rand(len(candidates), generator=chance, dtype=torch.float64) * others).long()
    shift = torch.where(others > 0, shift, 0)
    chosen = by_class[starts[kind] + (place + shift) % counts[kind]]
    result = torch.empty_like(candidates)
    result[by_class] = candidates[chosen]
    return result
