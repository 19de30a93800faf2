"""What a loss is told: once about the run, then about each batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import LongTensor, Tensor, nn

from src.data.images.order import Order
from src.methods.pskd.mixing import Mix


@dataclass(frozen=True)
class Context:
    """The run: known once the data is loaded."""

    labels: LongTensor  # [N] of the base training set, on the CPU
    candidates: LongTensor  # those of the N that are trained on
    classes: int
    epochs: int
    device: torch.device
    folder: Path  # the run's
    fingerprint: str  # of the base training set
    network: nn.Module  # the one that is trained
    build: Callable[[], nn.Module]  # another one of its kind
    order_of: Callable[[int, int], Order]  # (epoch, rank) -> which samples in which order
    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class Step:
    """One batch of training; rows from `real` on are padding. With `paired`, the partners' pictures stand behind."""

    images: Tensor  # [B or 2B, C, H, W]
    labels: LongTensor  # [B]
    index: LongTensor  # [B], numbers in the base training set, on the device
    host_index: LongTensor  # the same on the CPU
    start: int  # place of the first row in this rank's order of the epoch
    real: int
    mix: Mix | None
