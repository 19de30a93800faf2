"""Pictures as 8-bit values and as PIL images, for rewards that do not work on tensors."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor


def to_bytes(images: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in [0, 1], rounded to uint8 on their device."""
    return (images.detach().float() * 255).round().clamp(0, 255).to(torch.uint8)


def to_pil(images: Tensor) -> list[Image.Image]:
    """Pictures [B, 3, H, W] in [0, 1] as RGB images."""
    return [Image.fromarray(image) for image in to_bytes(images).permute(0, 2, 3, 1).contiguous().cpu().numpy()]
