"""How far the policy has moved from the pretrained one, along its own trajectories."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from src.methods.b2diffurl.measures.base import Advance, Drawn
from src.rewards.base import Reward


class KlToBase:
    """`kl_base`: mean over the noisy steps t of trajectories x_T .. x_0 that the evaluated policy draws, and over
    pictures, of KL(pi_theta(. | x_t, c) || pi_base(. | x_t, c)), both Gaussians with the sampler's sigma_t.

    In nats per latent dimension, as every KL of this project; times T times the latent's size it is the KL of whole
    trajectories. Guidance is inside both policies' means, as in sampling. Exact given the trajectories, 0 for the base.
    """

    def __init__(self, *, images: int = 1) -> None:
        self.images = images

    def load(self, device: torch.device, scorers: Mapping[str, Reward]) -> KlToBase:
        return self

    def __call__(self, drawn: Drawn, advance: Advance) -> dict[str, float]:
        value = drawn.kl(self.images).mean().item()
        advance(drawn.pictures[:, :, 0, 0, 0].numel())
        return {"kl_base": value}

    def identity(self) -> str:
        return f"kl of {self.images} pictures a prompt"
