"""The rewards `jpeg_compressibility` and `jpeg_incompressibility` (Black et al., DDPO, arXiv 2305.13301)."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from src.rewards.pixels import to_pil


class JpegReward:
    """Size of a picture's JPEG file in kB (1,000 bytes), negative where small files are wanted; no weights."""

    def __init__(
        self,
        *,
        want: Literal["small", "large"],  # small: minus the size
        name: str,  # of the figures: eval/<name>_after
        quality: int = 95,  # of the JPEG, 1 to 95; DDPO takes 95
    ) -> None:
        self.sign, self.name, self.quality = (-1.0 if want == "small" else 1.0), name, quality

    def load(self, device: torch.device | str) -> JpegReward:
        """Nothing to load."""
        return self

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Signed sizes in kB [B] of pictures [B, 3, H, W] in [0, 1]; the prompts play no part."""
        sizes = [self.sign * self._bytes(picture) / 1000 for picture in to_pil(images)]
        return torch.tensor(sizes, dtype=torch.float32, device=images.device)

    def identity(self) -> str:
        return f"{self.name} (quality {self.quality})"

    def _bytes(self, picture: Image.Image) -> int:
        stream = BytesIO()
        picture.save(stream, format="JPEG", quality=self.quality)
        return stream.tell()
