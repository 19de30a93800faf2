"""LoRA's linear layer in half precision: the adapter's product is added where the base's result lies."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn


class InPlaceLinear(Linear):
    """peft's layer with one adapter, without dropout: x W^T + b + scaling (x A^T) B^T.

    peft writes the adapter's product, scales it and adds it, and so moves six times a result's bytes to and from the
    memory; a matrix product that adds to what is there moves them twice, and rounds once instead of three times.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.disable_adapters or args or kwargs or self.active_adapters != ["default"]:
            return super().forward(x, *args, **kwargs)
        base = self.base_layer(x)
        down = self.lora_A["default"](x).to(base.dtype)
        up = self.lora_B["default"].weight.to(base.dtype)  # autocast leaves what works in place alone
        rows = base.flatten(0, -2)
        return rows.addmm_(down.flatten(0, -2), up.t(), alpha=self.scaling["default"]).view_as(base)


def add_in_place(network: nn.Module) -> None:
    """The adapters of linear layers in half precision take `InPlaceLinear`'s way; float32 keeps peft's, bit for bit."""
    for module in network.modules():
        if type(module) is Linear and module.get_base_layer().weight.dtype in (torch.bfloat16, torch.float16):
            module.__class__ = InPlaceLinear
