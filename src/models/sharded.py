"""A UNet whose weights are shared among processes: cut, read and written as a whole, made whole again.

Importing this loads nothing of torch.distributed, which most runs do without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

UNITS = ("ResnetBlock2D", "BasicTransformerBlock")  # diffusers' blocks, whose weights come together one at a time


def shard(unet: nn.Module, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """Cuts every parameter along its first dimension, in place; each unit collects its own weights while it computes.

    Weights travel in `dtype`, in which they are used; their parts, gradients and sums are float32. Gradients are
    averaged over the processes of a host at each backward pass, over the hosts as `average_over_hosts` says.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    half = None if dtype == torch.float32 else dtype
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False)
    unet.to(memory_format=torch.contiguous_format)  # FSDP cuts no other
    for module in unet.modules():
        if type(module).__name__ in UNITS:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    # Between two calls its own parameters are parts too.
    fully_shard(unet, mesh=mesh, mp_policy=policy, reshard_after_forward=True)


def average_over_hosts(unet: Any, now: bool) -> None:
    """Whether the next backward pass ends an update: before, gradients add up on each host."""
    unet.set_requires_all_reduce(now)


def whole_state(unet: nn.Module) -> dict[str, Tensor]:
    """The UNet's tensors on the CPU, on rank 0; elsewhere nothing. All ranks call it."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(unet, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def load_whole(unet: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Each rank takes its parts of whole tensors, which all of them have."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    set_model_state_dict(unet, dict(state), options=StateDictOptions(full_state_dict=True))  # it alters the dict


def made_whole(unet: Any) -> nn.Module | None:
    """The same UNet on one CPU, on rank 0; elsewhere None. All ranks call it."""
    state = whole_state(unet)
    if not state:
        return None
    plain = type(unet).from_config(unet.config)
    plain.load_state_dict(state)
    return plain.eval()
