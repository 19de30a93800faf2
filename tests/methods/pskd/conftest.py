"""A small problem on which every loss and memory is tried: 22 samples, 5 classes, a net without batch statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from src.data.images.order import epoch_order
from src.methods.pskd.losses.base import Loss
from src.methods.pskd.step import Context, Step
from tests.methods.pskd.run import Runner

SAMPLES, CLASSES, EPOCHS, BATCH = 22, 5, 4, 8


class Problem:
    """Pictures, labels, orders and a context for them."""

    def __init__(self, folder: Path) -> None:
        chance = torch.Generator().manual_seed(1)
        self.images = torch.randn(SAMPLES, 3, 4, 4, generator=chance)
        self.labels = torch.randint(CLASSES, (SAMPLES,), generator=chance)
        self.network = self.build()
        self.context = Context(labels=self.labels, candidates=torch.arange(SAMPLES), classes=CLASSES, epochs=EPOCHS,
                               device=torch.device("cpu"), folder=folder, fingerprint="f" * 64, network=self.network,
                               build=self.build, order_of=self.order)

    @staticmethod
    def build() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, CLASSES))

    def order(self, epoch: int, rank: int = 0, paired: bool = False):
        return epoch_order(torch.arange(SAMPLES), labels=self.labels, batch_size=BATCH, seed=3, epoch=epoch, rank=rank,
                           paired=paired)

    def steps(self, epoch: int) -> Iterator[Step]:
        order = self.order(epoch)
        for number, (size, real) in enumerate(zip(order.sizes, order.real, strict=True)):
            rows = order.rows(number)[:size]
            yield Step(self.images[rows], self.labels[rows], rows, rows, number * BATCH, real, None)

    def train(self, loss: Loss, first: int = 0, last: int = EPOCHS) -> tuple[list[float], list[dict[str, float]]]:
        """Plain SGD; the mean loss of every batch, and the figures of every epoch."""
        optimizer = torch.optim.SGD(self.network.parameters(), lr=0.5)
        seen, figures = [], []
        for epoch in range(first, last):
            loss.begin_epoch(epoch)
            for step in self.steps(epoch):
                losses, _ = loss(self.network, step)
                optimizer.zero_grad()
                losses.mean().backward()
                optimizer.step()
                seen.append(float(losses.detach().mean()))
            figures.append(loss.end_epoch())
        return seen, figures

    def weights(self) -> Tensor:
        return torch.cat([item.detach().flatten() for item in self.network.parameters()])


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    return Problem(tmp_path)


@pytest.fixture
def another(tmp_path: Path) -> Callable[[], Problem]:
    """The same problem anew, in the same folder."""
    return lambda: Problem(tmp_path)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "outputs")
