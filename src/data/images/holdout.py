"""Holding samples out of training for validation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.core.errors import UserError
from src.data.images.chance import generator


def hold_out(labels: Tensor, share: float, seed: int, unusable: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """(trained, held): sorted base indices, `held` being about `share` of each class; one sample at least is trained.

    `labels` [N]. The choice depends on `seed` alone; `unusable` samples are then left out of both. Raises UserError if
    the share holds nothing out.
    """
    held = []
    for kind in range(int(labels.max()) + 1 if share else 0):
        members = (labels == kind).nonzero()[:, 0]
        count = min(round(share * len(members)), len(members) - 1)
        shuffled = torch.randperm(len(members), generator=generator(seed, kind, "hold out"))
        held.append(members[shuffled[:max(count, 0)]])
    chosen = torch.cat(held).tolist() if held else []
    if share and not chosen:
        raise UserError(f"data.val_share={share}: holds nothing out of {len(labels)} samples",
                        "of each class, this share is held out for validation", "raise it, or set it to 0")
    trained = without(len(labels), [*chosen, *unusable])
    return trained, torch.tensor(sorted(set(chosen) - set(unusable)), dtype=torch.long)


def without(count: int, dropped: Sequence[int]) -> Tensor:
    """The numbers below `count` that are not `dropped`, sorted, int64."""
    kept = torch.ones(count, dtype=torch.bool)
    kept[torch.as_tensor(dropped, dtype=torch.long)] = False
    return kept.nonzero()[:, 0]
