"""Figures of a stage's update, read off the device once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

LARGEST = ("policy/ratio_max_dev", "policy/first_ratio_dev")  # maxima over micro-batches; all others are means
Sums = dict[str, tuple[float, int]]  # name -> sum of its values, each times its number of pairs; the number of pairs


def policy_sums(stats: list[dict[str, Any]]) -> Sums:
    """Statistics of a stage's micro-batches on this rank.

    Args:
        stats: one dict a micro-batch: 0-d tensors by name, `pairs` that they are a mean of, and `first`: whether the
            stage's first optimiser step was still to come. There the largest |ratio - 1| is `policy/first_ratio_dev`
            too, which has to be 0 up to rounding.
    """
    parts = [part | ({"policy/first_ratio_dev": part["policy/ratio_max_dev"]}
                     if part["first"] and "policy/ratio_max_dev" in part else {}) for part in stats]
    found: Sums = {}
    for name in dict.fromkeys(key for part in parts for key in part if key not in ("first", "pairs")):
        values = torch.stack([part[name] for part in parts if name in part]).cpu()
        pairs = torch.tensor([part["pairs"] for part in parts if name in part])
        total = values.max() if name in LARGEST else (values.double() * pairs).sum()
        found[name] = total.item(), int(pairs.sum())
    return found


def policy_figures(sums: Sequence[Sums]) -> dict[str, float]:
    """One row out of the sums of every rank: means over all pairs, however they were dealt, and maxima."""
    row: dict[str, float] = {}
    for name in dict.fromkeys(name for part in sums for name in part):
        values, pairs = zip(*(part[name] for part in sums if name in part), strict=True)
        values = torch.tensor(values, dtype=torch.float64)  # whose maximum, unlike Python's, does not lose a NaN
        row[name] = (values.max() if name in LARGEST else values.sum() / sum(pairs)).item()
    return row
