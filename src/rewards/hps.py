"""The reward `hps`: Human Preference Score v2 (Wu et al., arXiv 2306.09341), an OpenCLIP ViT-H/14 tuned on choices."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from src.rewards.clip import ClipReward
from src.rewards.clip_backends import OpenClip
from src.rewards.needs import HPS
from src.rewards.weights import Dtype, file_of


class HpsReward(ClipReward):
    """Cosine of picture and prompt, as published: about 0.2 to 0.3. Pictures are padded to squares, not cropped."""

    def __init__(
        self,
        *,
        path: str,  # HPS_v2.1_compressed.pt or another version's file, or a folder or hub id that has the former
        name: str = "hps",  # of the figures: eval/<name>_after
        arch: str = "ViT-H-14",  # open_clip's name of the architecture
        batch_size: int = 16,  # pictures scored at once
        dtype: Dtype = "float32",  # of the weights; the cosine is float32
        device: str | None = None,  # null: where the run computes
    ) -> None:
        super().__init__(path=path, name=name, backend="open_clip", arch=arch, batch_size=batch_size, dtype=dtype,
                         device=device)

    def load(self, device: torch.device | str) -> HpsReward:
        """Loads the weights to `device`. Raises UserError for missing weights or a missing package."""
        self._clip = OpenClip(str(file_of(self.path, HPS)), self.arch, self.dtype,
                              torch.device(self.device or device))
        self._texts.clear()
        return self

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit embeddings [B, D] of pictures [B, 3, H, W] in [0, 1], float32."""
        return super().embed_images(squared(images))


def squared(images: Tensor) -> Tensor:
    """Pictures with black bars, so that height and width are equal [B, 3, S, S]."""
    height, width = images.shape[-2:]
    rows, columns = max(width - height, 0), max(height - width, 0)
    return pad(images, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
