"""Tensors of which each process may hold a part (DTensor): cut, and made whole again."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from src.core.processes import ranks


def whole_on_first(value: Any) -> Any:
    """Of what may be a part of a tensor the whole one, on rank 0's CPU; elsewhere None. All ranks call it; other values
    pass."""
    if not isinstance(value, DTensor):
        return value
    found = whole(value)
    return found.cpu() if ranks.number() == 0 else None


def part_of(value: Any, like: Tensor) -> Any:
    """This rank's part of a whole tensor of the shape of `like`, cut as that is; other values pass."""
    if not (isinstance(like, DTensor) and isinstance(value, Tensor) and value.shape == like.shape):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def own_part(value: Tensor) -> Tensor:
    """What this rank holds of a tensor that may be shared."""
    return value.to_local() if isinstance(value, DTensor) else value


def whole(value: Tensor) -> Tensor:
    """The whole tensor on every rank."""
    return value.full_tensor() if isinstance(value, DTensor) else value
