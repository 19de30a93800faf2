"""Holding samples out of training, to validate and to test with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from src.core.errors import UserError
from src.data.images.chance import generator
from src.data.images.rules import held


def hold_out(labels: Tensor, shares: Mapping[str, float], seed: int,
             unusable: Sequence[int] = ()) -> tuple[Tensor, dict[str, Tensor]]:
    """(trained, held): sorted base indices; `held` has those of each split with a share, of each class about as much.

    `labels` [N]. The choice depends on `seed` alone, that of the test split not on the other share; `unusable` samples
    are then left out of all. Raises UserError if a share holds nothing out.
    """
    chosen: dict[str, list[int]] = {split: [] for split, share in shares.items() if share}
    for kind in range(int(labels.max()) + 1 if chosen else 0):
        members = (labels == kind).nonzero()[:, 0]
        shuffled = members[torch.randperm(len(members), generator=generator(seed, kind, "hold out"))].tolist()
        for split, count in held(len(members), shares).items():
            if split in chosen:  # from either end, so that they never meet
                chosen[split] += shuffled[:count] if split == "val" else shuffled[len(shuffled) - count:]
    for split, rows in chosen.items():
        if not rows:
            raise UserError(f"data.{split}_share={shares[split]}: holds nothing out of {len(labels)} samples",
                            "of each class, this share is held out of training", "raise it, or set it to 0")
    trained = without(len(labels), [*(row for rows in chosen.values() for row in rows), *unusable])
    return trained, {split: torch.tensor(sorted(set(rows) - set(unusable)), dtype=torch.long)
                     for split, rows in chosen.items()}


def without(count: int, dropped: Sequence[int]) -> Tensor:
    """The numbers below `count` that are not `dropped`, sorted, int64."""
    kept = torch.ones(count, dtype=torch.bool)
    kept[torch.as_tensor(dropped, dtype=torch.long)] = False
    return kept.nonzero()[:, 0]
