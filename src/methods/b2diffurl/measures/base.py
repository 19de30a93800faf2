"""What a measure of the protocol is: figures of the pictures that one state of a model drew for one list of prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from src.rewards.base import Reward

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Drawn:
    """`pictures` uint8 [prompts, n, 3, H, W] on the CPU, n at least 2.

    `kl(images)`: the KL of every step, [prompts * images, steps], on trajectories of `images` pictures a prompt.
    """

    pictures: Tensor
    kl: Callable[[int], Tensor]

    def batches(self, size: int, device: torch.device, advance: Advance) -> Iterator[Tensor]:
        """All pictures, [B, 3, H, W] in [0, 1] with B at most `size`, prompt by prompt."""
        for batch in self.pictures.flatten(0, 1).split(size):
            yield batch.to(device).float() / 255
            advance(len(batch))

    def families(self, size: int, device: torch.device, advance: Advance) -> Iterator[Tensor]:
        """Whole prompts, [B, n, 3, H, W] in [0, 1] with about `size` pictures, at least one prompt."""
        count = self.pictures.shape[1]
        for batch in self.pictures.split(max(1, size // count)):
            yield batch.to(device).float() / 255
            advance(len(batch) * count)


@runtime_checkable
class Measure(Protocol):
    """The constructor is light; `load` brings the weights, and only the protocol calls it."""

    def load(self, device: torch.device, scorers: Mapping[str, Reward]) -> Measure:
        """Loads the networks. `scorers` are loaded already: one with the same network is shared."""
        ...

    def __call__(self, drawn: Drawn, advance: Advance) -> dict[str, float]:
        """Figures by name; `advance(n)` after every n of the pictures."""
        ...

    def identity(self) -> str:
        """What measured, with all that changes its figures."""
        ...
