"""Holding samples out of training for validation."""

from __future__ import annotations

import torch
from torch import Tensor

from src.core.errors import UserError
from src.data.images.chance import generator


def hold_out(labels: Tensor, share: float, seed: int) -> Tensor:
    """Sorted base indices of about `share` of each class, at least one sample of it staying in training. [held]

    `labels` [N]. The choice depends on `seed` alone. Raises UserError if the share holds nothing out.
    """
    if share == 0:
        return torch.zeros(0, dtype=torch.long)
    held = []
    for kind in range(int(labels.max()) + 1):
        members = (labels == kind).nonzero()[:, 0]
        count = min(round(share * len(members)), len(members) - 1)
        shuffled = torch.randperm(len(members), generator=generator(seed, kind, "hold out"))
        held.append(members[shuffled[:max(count, 0)]])
    chosen = torch.cat(held).sort().values
    if len(chosen) == 0:
        raise UserError(f"data.val_share={share}: holds nothing out of {len(labels)} samples",
                        "of each class, this share is held out for validation", "raise it, or set it to 0")
    return chosen


def without(count: int, held: Tensor) -> Tensor:
    """The numbers below `count` that are not in `held`, sorted."""
    kept = torch.ones(count, dtype=torch.bool)
    kept[held] = False
    return kept.nonzero()[:, 0]
