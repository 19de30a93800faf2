"""CLIP's preprocessing as tensor operations on the device: no round trip through PIL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from src.core.errors import UserError

_PIL_NAMES = {0: "nearest", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preprocess:
    """Resize, centre crop, normalise: what a CLIP was trained on."""

    resize: tuple[int, ...] | None  # (shortest edge,) or (height, width) in pixels
    crop: tuple[int, int] | None  # (height, width) in pixels
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"

    def __call__(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in [0, 1] to the network's input, float32."""
        images = images.float()
        if self.resize and self.resize not in ((min(images.shape[-2:]),), tuple(images.shape[-2:])):
            mode = InterpolationMode(self.interpolation)
            images = transforms.resize(images, list(self.resize), interpolation=mode, antialias=True)
            images = images.clamp(0, 1)  # bicubic overshoots; 8-bit pictures cannot
        if self.crop:
            images = transforms.center_crop(images, list(self.crop))
        mean, std = (torch.tensor(values, device=images.device).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std


def from_transformers(processor: Any) -> Preprocess:
    """The settings of a transformers image processor (preprocessor_config.json)."""
    size, crop = dict(processor.size or {}), dict(processor.crop_size or {})
    resize = (size["shortest_edge"],) if size.get("shortest_edge") else (size.get("height"), size.get("width"))
    return Preprocess(
        resize=resize if processor.do_resize else None,
        crop=(crop["height"], crop["width"]) if processor.do_center_crop else None,
        mean=tuple(processor.image_mean) if processor.do_normalize else (0.0,) * 3,
        std=tuple(processor.image_std) if processor.do_normalize else (1.0,) * 3,
        interpolation=_PIL_NAMES.get(int(processor.resample), "bicubic"),
    )


def from_open_clip(settings: dict[str, Any]) -> Preprocess:
    """The settings of an OpenCLIP model (`model.visual.preprocess_cfg`)."""
    size = settings["size"]
    height, width = (size, size) if isinstance(size, int) else size
    modes = {"shortest": (min(height, width),), "squash": (height, width)}
    if settings["resize_mode"] not in modes:
        raise UserError(f"reward.path: OpenCLIP's resize_mode {settings['resize_mode']!r} is not offered; "
                        f"choose a model with {' or '.join(modes)}.")
    return Preprocess(modes[settings["resize_mode"]], (height, width), tuple(settings["mean"]), tuple(settings["std"]),
                      settings["interpolation"])
