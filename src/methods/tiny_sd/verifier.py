"""Training of the verifier: attribute classification on drawings, with spoilt drawings as the class 'not clean'."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from src.data import shape_words, shapes
from src.methods.tiny_sd.part import Part
from src.models.tiny_sd.verifier import HEADS, Verifier


class VerifierTraining(Part):
    """Half of a batch is clean; the rest shows one object, three, two pictures mixed, or a half-formed object."""

    def __init__(self, *, steps: int, batch_size: int, lr: float, weight_decay: float, ema_decay: float, weights: str):
        super().__init__(steps=steps, batch_size=batch_size, lr=lr, weight_decay=weight_decay, ema_decay=ema_decay,
                         weights=weights)

    def network(self) -> Verifier:
        return Verifier()

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        scenes = shapes.random_scenes(self.batch_size, generator)
        clean = torch.arange(self.batch_size) % 2
        images = shapes.draw(scenes, generator)
        images = torch.where(clean[:, None, None, None] == 1, images, spoil(scenes, images, generator))
        images, scenes, clean = (drawn.to(self.device) for drawn in (disturb(images, generator), scenes, clean))
        logits = self.net(images).split(HEADS, 1)
        pairs = zip(logits[:-1], scenes.T, strict=True)
        attribute_losses = torch.stack([F.cross_entropy(z, y, reduction="none") for z, y in pairs])
        clean_loss = F.cross_entropy(logits[-1], clean)
        return (attribute_losses.mean(0) * clean).sum() / clean.sum() + clean_loss, {"clean_loss": clean_loss.detach()}

    @torch.no_grad()
    def score(self, generator: torch.Generator) -> dict[str, float]:
        """Accuracy per attribute on fresh drawings, and the share of clean and spoilt ones told apart."""
        scenes = shapes.random_scenes(8192, generator)
        images = shapes.draw(scenes, generator)
        spoilt = spoil(scenes, images, generator).to(self.device)
        images, scenes = images.to(self.device), scenes.to(self.device)
        verdict, spoilt = self.trained.judge(images, scenes), self.trained.judge(spoilt, scenes)
        names = (*shape_words.ATTRIBUTES, "clean", "all_right", "spoilt_found")
        values = [*verdict.attributes.mean(0), verdict.clean.mean(), verdict.all_right.mean(), 1 - spoilt.clean.mean()]
        return {f"{name}_accuracy": float(value) for name, value in zip(names, values, strict=True)}

    def export(self, folder: Path) -> None:
        self.trained.save(folder)
        self.trained.save(self.weights)


def spoil(scenes: Tensor, images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures that show no two clean objects: one, three, two pictures mixed, or an object between two shapes."""
    count = len(scenes)
    other = shapes.random_scenes(count, generator)
    other_images = shapes.draw(other, generator)
    share = torch.rand(count, 1, 1, 1, generator=generator) * 0.4 + 0.3
    mixed = torch.lerp(images, other_images, share)
    variants = [shapes.draw_objects(scenes, 1, generator), shapes.draw_objects(scenes, 3, generator), mixed,
                shapes.draw_objects(scenes, 2, generator, morph=True)]
    kind = torch.randint(len(variants), (count,), generator=generator)
    return torch.stack(variants, 1)[torch.arange(count), kind]


def disturb(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur and noise of the strength that an autoencoder leaves behind."""
    blurred = gaussian_blur(images, [3, 3], [0.6, 0.6])
    share = torch.rand(len(images), 1, 1, 1, generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    strength = 0.06 * torch.rand(len(images), 1, 1, 1, generator=generator)
    return torch.lerp(images, blurred, share) + noise * strength
