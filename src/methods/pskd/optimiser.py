"""The optimisers that a classifier may be trained with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

NAMES = {"sgd": "SGD", "adamw": "AdamW"}


def optimiser(kind: str, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, nesterov: bool,
              weight_decay: float) -> torch.optim.Optimizer:
    """`kind` is one of NAMES. All parameters decay alike; `momentum` and `nesterov` are SGD's."""
    if kind == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
