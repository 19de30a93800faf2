"""Figures of a stage's update, read off the device once."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = ("policy/ratio_max_dev",)  # a maximum over micro-batches; all others are means


def policy_figures(stats: list[dict[str, Tensor]]) -> dict[str, float]:
    """Statistics of all micro-batches of a stage as one row; `policy/first_ratio_dev` is the largest |ratio - 1| before
    the stage's first optimiser step, where it has to be 0 up to rounding. An empty list gives an empty row."""
    row: dict[str, float] = {}
    for name in dict.fromkeys(key for part in stats for key in part if key != "first"):
        values = torch.stack([part[name].float() for part in stats if name in part])
        row[name] = (values.max() if name in LARGEST else values.mean()).item()
    first = [part["policy/ratio_max_dev"] for part in stats if part["first"] and "policy/ratio_max_dev" in part]
    if first:
        row["policy/first_ratio_dev"] = torch.stack(first).max().item()
    return row
