"""Normalisation layers that autocast leaves in half precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Half:
    """Before a norm among a class's bases: autocast is off while it computes."""

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype))


class HalfGroupNorm(_Half, nn.GroupNorm):
    pass


class HalfLayerNorm(_Half, nn.LayerNorm):
    pass


KINDS = {nn.GroupNorm: HalfGroupNorm, nn.LayerNorm: HalfLayerNorm}


def keep_half(network: nn.Module) -> None:
    """Norms whose weights are in half precision compute in it under autocast too, in place.

    CUDA's autocast would make their results float32, and with them the activation after each: more than twice the bytes
    that those layers move. Their kernels sum in float32 anyway, and keep what they found in half precision; it is what
    diffusers' pipelines do, which run without autocast, and what autocast does on a CPU.
    """
    for module in network.modules():
        kind = KINDS.get(type(module))
        if kind and module.weight is not None and module.weight.dtype in (torch.bfloat16, torch.float16):
            module.__class__ = kind
