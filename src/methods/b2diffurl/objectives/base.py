"""What the update asks of an objective, and the figures that all of them give."""

from __future__ import annotations

import torch
from torch import Tensor

from src.methods.b2diffurl.objectives.weighting import Weighting


class Objective:
    """The loss of (sample, step) pairs: called with (log_prob, old_log_prob, advantage, weight), [B] each, it gives the
    loss [B] and a dict of detached figures.

    The reference is the pretrained policy, which is the same UNet with its adapter off. Nobody evaluates it unless
    `needs_reference` or `kl_weight` asks for it.
    """

    needs_reference: bool = False  # its log-probabilities [B] come as a fifth argument
    couples: bool = False  # rows 2i and 2i + 1 are a trunk's winner and loser at the same step
    kl_weight: float = 0.0  # beta of the KL to the reference, which the update adds to the loss
    weighting: Weighting = "none"  # of the steps, see weighting.py


def ratio_statistics(log_ratio: Tensor, ratio: Tensor) -> dict[str, Tensor]:
    """Detached 0-d figures of pi_theta / pi_old, [B] each; `approx_kl` is half the mean squared log-ratio, before
    weighting and per latent dimension."""
    log_ratio, ratio = log_ratio.detach(), ratio.detach()
    return {
        "policy/ratio_mean": ratio.mean(),
        "policy/ratio_max_dev": (ratio - 1).abs().max(),
        "policy/approx_kl": 0.5 * log_ratio.square().mean(),
    }


def weighted(log_ratio: Tensor, weight: Tensor | None) -> Tensor:
    """The log-ratio of each pair times its step's weight; None: ones."""
    return log_ratio if weight is None else weight * log_ratio


def joined(first: Tensor, second: Tensor) -> Tensor:
    """[P] and [P] as [2P], row by row: the order of couples."""
    return torch.stack([first, second], 1).flatten()
