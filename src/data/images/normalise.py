"""From uint8 pictures, channels last, to what a network is fed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Normaliser:
    """(picture / 255 - mean) / std in two operations, on the device where the pictures are."""

    def __init__(self, size: int, *, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        """`size`: pixels a side. `mean` and `std`: of pictures in [0, 1], one per channel."""
        mean_, std_ = (torch.tensor(tuple(values), dtype=torch.float32).repeat(size) for values in (mean, std))
        self.scale, self.shift = (1 / (255 * std_)).to(device), (-mean_ / std_).to(device)  # [size * channels]

    def __call__(self, pictures: Tensor) -> Tensor:
        """uint8 [batch, size, size, channels] to float [batch, channels, size, size] in channels_last."""
        batch, size, _, channels = pictures.shape
        # Whole rows of pixels: over the few channels alone the broadcast would cost many times as much.
        images = pictures.reshape(batch, size, size * channels).float().mul_(self.scale).add_(self.shift)
        return images.view(batch, size, size, channels).permute(0, 3, 1, 2)
