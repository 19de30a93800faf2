"""An exponential moving average of a network's weights."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Averaged(AveragedModel):
    """PyTorch's own, buffers included, which asks the device at every step whether it is the first: a wait that a small
    network feels. Here only a training's first step asks."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        self.requires_grad_(False)  # DDP would wait for its gradients
        self.begun = False

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """After an optimiser's step."""
        if not self.begun:
            super().update_parameters(model)
            self.begun = True
            return
        groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
        for own, new in zip(_tensors(self.module), _tensors(model), strict=True):
            pair = groups.setdefault((own.device, own.dtype), ([], []))
            pair[0].append(own.detach()), pair[1].append(new.detach())
        for own, new in groups.values():
            self.multi_avg_fn(own, new, self.n_averaged)
        self.n_averaged += 1


def too_slow(decay: float, steps: int) -> str | None:
    """One line if an average over so many steps of training still has much of the first step's weights, decay^steps of
    it: more than a twentieth. None if not."""
    if decay**steps < 0.05:
        return None
    rest = float(f"{min(5 / steps, 1):.1g}")
    return (f"method.ema_decay={decay}: after {steps} steps {decay**steps:.0%} of the averaged weights are still those "
            f"of the first. Set method.ema_decay={f'{1 - rest:g}' if rest < 1 else 'null'}, or train longer")


def _tensors(network: nn.Module) -> chain[Tensor]:
    return chain(network.parameters(), network.buffers())
