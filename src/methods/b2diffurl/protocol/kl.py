"""KL from one policy to another along the trajectories that the first one drew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.reference import with_reference
from src.methods.b2diffurl.sampling import Denoise, Rollout
from src.methods.b2diffurl.update import Kept


@torch.no_grad()
def trajectory_kl(rolled: Rollout, denoise: Denoise, ddim: Ddim, other: Callable[[], AbstractContextManager[None]], *,
                  usable: int, batch: int) -> Tensor:
    """KL(pi(. | x_t) || pi_other(. | x_t)) at every step t that has noise: float32 [M, steps], per latent dimension.

    Args:
        rolled: M trajectories of `denoise` over the whole chain, kept.
        other: inside its context `denoise` is the other policy.
        usable: number of the chain's steps with sigma > 0.
        batch: (sample, step) pairs denoised at once.
    """
    rows = torch.arange(len(rolled.latents), device=rolled.latents.device)
    kept = Kept.of(rolled, rows, torch.zeros_like(rows), usable)
    own, others = (with_reference(context, denoise, ddim, kept, [rows], batch, means=True).reference_means
                   for context in (nullcontext(), other()))
    steps = kept.step_indices.repeat(len(rows))
    return ddim.kl(own.flatten(0, 1), others.flatten(0, 1), steps).view(len(rows), -1)
