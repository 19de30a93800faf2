"""Training of the embedded autoencoder: absolute error of pixels and of their differences, and a small KL term."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from src.data import shapes
from src.methods.tiny_sd.part import Part
from src.models.tiny_sd import architecture


class AutoencoderTraining(Part):
    """`kl_weight` is per latent element, against a mean absolute error per pixel."""

    def __init__(self, *, steps: int, batch_size: int, lr: float, weight_decay: float, ema_decay: float, weights: str,
                 kl_weight: float):
        super().__init__(steps=steps, batch_size=batch_size, lr=lr, weight_decay=weight_decay, ema_decay=ema_decay,
                         weights=weights)
        self.kl_weight = kl_weight

    def network(self) -> AutoencoderKL:
        return architecture.autoencoder().to(memory_format=torch.channels_last)

    def drawings(self, count: int, generator: torch.Generator) -> Tensor:
        images = 2 * shapes.draw(shapes.random_scenes(count, generator), generator) - 1
        return images.to(self.device, memory_format=torch.channels_last)

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        images = self.drawings(self.batch_size, generator)
        posterior = self.net.encode(images).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(self.device)
        decoded = self.net.decode(posterior.mean + posterior.std * noise).sample
        error = (decoded - images).abs().mean() + edge_error(decoded, images)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return error + self.kl_weight * kl, {"error": error.detach(), "kl": kl.detach()}

    @torch.no_grad()
    def score(self, generator: torch.Generator) -> dict[str, float]:
        """Peak signal-to-noise ratio of fresh drawings in dB, and the latents' standard deviation."""
        images = self.drawings(1024, generator)
        latents = self.trained.encode(images).latent_dist.mean
        mse = (self.trained.decode(latents).sample - images).square().mean() / 4  # on the scale [0, 1]
        return {"psnr": float(-10 * mse.log10()), "latent_std": float(latents.std())}

    def export(self, folder: Path) -> None:
        """The scaling factor makes the latents' standard deviation 1, as SD's does."""
        deviation = self.score(self.generator(-2))["latent_std"]
        self.trained.register_to_config(scaling_factor=1 / deviation)
        for target in (folder, self.weights):
            self.trained.save_pretrained(target)


def edge_error(decoded: Tensor, images: Tensor) -> Tensor:
    """Mean absolute error of neighbouring pixels' differences: blurred edges cost as much as wrong colours."""
    difference = decoded - images
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
