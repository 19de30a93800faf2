"""The verifier: a small convolutional network that reads the attributes off a picture of the shapes world.

It shares nothing with CLIP (no text, no attention, other data and another loss), so it can judge what CLIP rewards.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from src.core.errors import UserError
from src.data import shape_words

HEADS = (*shape_words.SIZES, 2)  # the five attributes, and whether the picture shows two clean objects at all


@dataclass(frozen=True)
class Verdict:
    """What the verifier says of pictures and their prompts; all tensors float."""

    attributes: Tensor  # [batch, 5], 1 where the attribute read is the one the prompt names
    clean: Tensor  # [batch], 1 where the picture shows exactly two well-formed objects
    probability: Tensor  # [batch, 6], of each statement being true

    @property
    def all_right(self) -> Tensor:
        """[batch], 1 where the picture is clean and every attribute is the prompt's."""
        return self.attributes.prod(1) * self.clean


class Verifier(nn.Module):
    """Pictures [batch, 3, 32, 32] in [0, 1] to the concatenated logits of all heads [batch, 24]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96)
        blocks = [layer for a, b in pairwise(widths) for layer in _block(a, b)]
        self.body = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(96 * 16, 128), nn.ReLU())
        self.heads = nn.Linear(128, sum(HEADS))

    def forward(self, images: Tensor) -> Tensor:
        return self.heads(self.body(images * 2 - 1))

    @torch.no_grad()
    def judge(self, images: Tensor, scenes: Tensor) -> Verdict:
        """Compare pictures with scenes [batch, 5] (`shape_words.parse` makes them from prompts)."""
        logits = self(images).split(HEADS, 1)
        wanted = torch.cat([scenes, torch.ones_like(scenes[:, :1])], 1)
        right = torch.stack([head.argmax(1) for head in logits], 1) == wanted
        chances = [h.softmax(1).gather(1, w[:, None])[:, 0] for h, w in zip(logits, wanted.T, strict=True)]
        return Verdict(right[:, :5].float(), right[:, 5].float(), torch.stack(chances, 1))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "verifier.safetensors")


def _block(inside: int, outside: int) -> list[nn.Module]:
    """Two convolutions and a halving of the side."""
    return [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(),
            nn.Conv2d(outside, outside, 3, stride=2, padding=1), nn.BatchNorm2d(outside), nn.ReLU()]


def load_verifier(folder: Path) -> Verifier:
    """A verifier from its folder, frozen. Raises UserError where there are no weights."""
    file = folder / "verifier.safetensors"
    if not file.is_file():
        raise UserError(f"no verifier weights at {file}: `make tiny-sd` rebuilds the embedded model's parts")
    verifier = Verifier()
    verifier.load_state_dict(load_file(file))
    return verifier.eval().requires_grad_(False)


def scenes_of(prompts: list[str]) -> Tensor:
    """Prompts to scenes [batch, 5]. Raises UserError for a prompt that is not of the shapes world."""
    try:
        return torch.tensor([shape_words.parse(prompt) for prompt in prompts])
    except ValueError as error:
        raise UserError(f"the verifier reads only the shapes world: {error}") from error
