"""A UNet whose weights are shared among processes: cut, read and written as a whole, made whole again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from src.core.sharding import gathered, part_of

UNITS = ("ResnetBlock2D", "BasicTransformerBlock")  # diffusers' blocks, whose weights come together one at a time


def shard(unet: nn.Module, mesh: DeviceMesh) -> None:
    """Cuts every parameter along its first dimension, in place; each unit collects its own weights while it computes.

    Gradients are averaged over the processes at each backward pass.
    """
    from torch.distributed.fsdp import fully_shard

    unet.to(memory_format=torch.contiguous_format)  # FSDP cuts no other
    for module in unet.modules():
        if type(module).__name__ in UNITS:
            fully_shard(module, mesh=mesh)
    fully_shard(unet, mesh=mesh, reshard_after_forward=True)  # between two calls its parameters are always parts


def whole_state(unet: nn.Module) -> dict[str, Tensor]:
    """The UNet's tensors on the CPU, on rank 0; elsewhere nothing. All ranks call it."""
    found = {name: gathered(tensor.detach()) for name, tensor in unet.state_dict().items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def load_whole(unet: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Each rank takes its parts of whole tensors, which all of them have."""
    own = unet.state_dict()
    unet.load_state_dict({name: part_of(tensor, own[name]) for name, tensor in state.items()})


def made_whole(unet: Any) -> nn.Module | None:
    """The same UNet on one CPU, on rank 0; elsewhere None. All ranks call it."""
    state = whole_state(unet)
    if not state:
        return None
    plain = type(unet).from_config(unet.config)
    plain.load_state_dict(state)
    return plain.eval()
