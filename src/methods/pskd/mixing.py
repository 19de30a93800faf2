"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019): each picture is mixed with the one at the mirrored place.

A batch is mixed as a whole or not at all. What is decided is drawn on the host from (seed, epoch, batch), so that no
device waits for it and all ranks decide alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

Kind = Literal["none", "mixup", "cutmix"]


@dataclass(frozen=True)
class Mix:
    """How a batch was mixed: `share` of each picture is its own, the rest that of the picture at the mirrored place."""

    share: float


def mixed(images: Tensor, kind: Kind, concentration: float, probability: float, key: tuple[int, ...]
          ) -> tuple[Tensor, Mix | None]:
    """Pictures [B, C, H, W], mixed with `probability`; share ~ Beta(concentration, concentration)."""
    if kind == "none":
        return images, None
    random = np.random.default_rng([*key, 0x6D6978])
    if random.random() >= probability:
        return images, None
    share = float(random.beta(concentration, concentration))
    if kind == "mixup":
        return share * images + (1 - share) * images.flip(0), Mix(share)
    top, bottom, left, right = box(images.shape[-2], images.shape[-1], share, random)
    pasted = images.clone()
    pasted[..., top:bottom, left:right] = images.flip(0)[..., top:bottom, left:right]
    return pasted, Mix(1 - (bottom - top) * (right - left) / (images.shape[-2] * images.shape[-1]))


def box(height: int, width: int, share: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Rows and columns of the part cut out: a box of 1 - share of the area, cut at the picture's edge."""
    side = np.sqrt(1 - share)
    row, column = random.integers(height), random.integers(width)
    half_height, half_width = int(height * side) // 2, int(width * side) // 2
    return (max(row - half_height, 0), min(row + half_height, height), max(column - half_width, 0),
            min(column + half_width, width))
