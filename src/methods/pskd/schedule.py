"""Learning rates as a factor of the largest one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning import Trainer


def learning_rate(kind: str, *, epochs: int, steps: int, milestones: Sequence[float], gamma: float,
                  warmup_epochs: float = 0.0) -> Callable[[int], float]:
    """Factor at an optimiser step.

    `step`: times `gamma` at each milestone, a share of the run (CIFAR: 0.5 and 0.75 of 300 epochs). `cosine`: falls
    to 0. The first `warmup_epochs` rise linearly. A milestone is reached after the first epoch at the earliest.
    """

    def factor(step: int) -> float:
        epoch = step // steps if kind == "step" else step / steps
        warm = min((step + 1) / (warmup_epochs * steps), 1.0) if warmup_epochs else 1.0
        if kind == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1.0)))
        return warm * gamma ** sum(epoch >= max(1, round(share * epochs)) for share in milestones)

    return factor


def steps_of_epoch(batches: int, trainer: Trainer) -> int:
    """Optimiser steps of an epoch of so many batches, of which the trainer may take a part, or several for a step."""
    limit = trainer.limit_train_batches
    trained = batches if limit is None else min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    return max(1, math.ceil(trained / trainer.accumulate_grad_batches))
