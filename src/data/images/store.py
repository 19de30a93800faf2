"""Pictures of one size in memory, on the device that trains, and the one gather that makes a batch of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.data.images.augment import Views
from src.data.images.normalise import Normaliser


class Store:
    """Padded pictures, channels last. A batch is one gather of pixels: crop, flip and memory layout at once."""

    def __init__(self, pictures: Tensor, *, pad: int, fill: int, mean: Sequence[float], std: Sequence[float],
                 device: torch.device) -> None:
        """`pictures`: uint8 [N, size, size, channels]. `fill`: 0 to 255, what the padding shows."""
        count, self.size, _, self.channels = pictures.shape
        self.pad, self.side = pad, self.size + 2 * pad
        padded = pictures.new_full((count, self.side, self.side, self.channels), fill)
        padded[:, pad:pad + self.size, pad:pad + self.size] = pictures
        self.pixels = padded.view(-1, self.channels).to(device)
        self.normalise = Normaliser(self.size, mean=mean, std=std, device=device)
        self.step = torch.arange(self.size, device=device)

    def places(self, rows: Tensor, views: Views) -> tuple[Tensor, Tensor]:
        """For each of `rows` [n]: number of the pixel that becomes its upper left one, and the step to the next one in
        a row, 1 or -1. Both [n]."""
        start = (rows * self.side + views.top) * self.side + views.left
        return start + views.flip * (self.size - 1), 1 - 2 * views.flip.long()

    def gather(self, start: Tensor, step: Tensor) -> Tensor:
        """Normalised float pictures [batch, channels, size, size] in channels_last."""
        pixel = (start[:, None] + self.step * self.side)[:, :, None] + (step[:, None] * self.step)[:, None, :]
        taken = self.pixels.index_select(0, pixel.view(-1))
        return self.normalise(taken.view(len(start), self.size, self.size, self.channels))

    def pictures(self, rows: Tensor) -> Tensor:
        """As a person would look at them: uint8 [n, channels, size, size] on the CPU."""
        inside = slice(self.pad, self.pad + self.size)
        padded = self.pixels.view(-1, self.side, self.side, self.channels)
        return padded[rows.to(self.pixels.device)][:, inside, inside].permute(0, 3, 1, 2).contiguous().cpu()
