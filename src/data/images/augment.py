"""Augmentation of small pictures in memory: where each sample is cropped, flipped and cut out in an epoch.

A sample's augmentation depends on (seed, epoch, number of the sample) alone. It is drawn for the whole set at once and
looked up, so that batches, processes and resumed runs agree without keeping any state.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from src.data.images.chance import generator


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training picture, in this order: pad and crop, flip, cut out."""

    pad: int = 4  # pixels on each side, then a random crop of the old size; 0: no crop
    flip: bool = True  # left and right are swapped with a chance of one half
    cutout: int = 0  # side in pixels of a square at a random centre that is set to the mean colour; 0: none

    def __str__(self) -> str:
        parts = [f"crop with {self.pad} px of padding" if self.pad else "", "flip" if self.flip else "",
                 f"cutout of {self.cutout} px" if self.cutout else ""]
        return ", ".join(filter(None, parts)) or "none"


@dataclass(frozen=True)
class Views:
    """How each of some samples is seen. All [samples], int64 or bool."""

    top: Tensor  # upper edge of the crop in the padded picture
    left: Tensor
    flip: Tensor
    centre: Tensor  # [samples, 2]: row and column of the cut-out square's centre in the cropped picture

    def __getitem__(self, rows: Tensor | slice) -> Views:
        return Views(self.top[rows], self.left[rows], self.flip[rows], self.centre[rows])

    def to(self, device: torch.device) -> Views:
        """The same on a device."""
        return Views(*(part.to(device, non_blocking=True) for part in (self.top, self.left, self.flip, self.centre)))


def draw_views(augmentation: Augmentation, count: int, size: int, *, seed: int, epoch: int) -> Views:
    """The views of all `count` samples of `size` pixels a side in an epoch; what one option draws does not depend on
    the others."""
    top, left = torch.randint(2 * augmentation.pad + 1, (2, count), generator=generator(seed, epoch, "crop"))
    flip = torch.rand(count, generator=generator(seed, epoch, "flip")) < 0.5
    centre = torch.randint(size, (count, 2), generator=generator(seed, epoch, "cutout"))
    return Views(top, left, flip & augmentation.flip, centre)


def plain_views(pad: int, count: int) -> Views:
    """Pictures as they are: the middle of the padded ones."""
    middle = torch.full((count,), pad)
    return Views(middle, middle, torch.zeros(count, dtype=torch.bool), torch.zeros(count, 2, dtype=torch.long))


def cut_out(images: Tensor, centre: Tensor, side: int) -> None:
    """Sets a square of `side` pixels around `centre` [batch, 2] to 0, the mean of normalised `images`
    [batch, channels, height, width], in place; what lies outside the picture is lost (DeVries and Taylor, 2017)."""
    first = centre - side // 2
    hit = []
    for axis in (0, 1):
        place = torch.arange(images.shape[2 + axis], device=images.device)
        start = first[:, axis, None]
        hit.append((place >= start) & (place < start + side))
    images.masked_fill_((hit[0][:, :, None] & hit[1][:, None, :])[:, None], 0.0)
