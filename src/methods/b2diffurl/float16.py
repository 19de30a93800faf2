"""float16's narrow range: values below 6e-8 become 0, which would be nearly all gradients of an update."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.amp import GradScaler


def loss_scale(dtype: torch.dtype, device: torch.device) -> GradScaler:
    """Multiplies the loss of a network in float16, and divides the gradients; leaves out a step whose gradients are not
    finite, and takes half the factor from then on. In other precisions it does nothing.

    To leave a step out the host has to know: in float16 it waits for the device once an optimiser step.
    """
    scaler = GradScaler(device.type, enabled=dtype == torch.float16)
    scaler.scale(torch.zeros((), device=device))  # its factor is there from now on, on a rank without samples too
    return scaler


def norm_figures(norm: Tensor, scaler: GradScaler) -> dict[str, Tensor]:
    """Figures of an update out of its gradients' norm: one that is left out has none."""
    if not scaler.is_enabled():
        return {"policy/grad_norm": norm}
    finite = norm.isfinite()
    return {"policy/grad_norm": torch.where(finite, norm, 0.0), "policy/left_out": 1.0 - finite.float()}
