"""The reward `aesthetic`: LAION's predictor of how much people like a picture, on CLIP ViT-L/14 embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.rewards.clip import ClipReward
from src.rewards.needs import AESTHETIC_HEAD
from src.rewards.weights import Dtype, linear_chain, state_of


class AestheticReward:
    """Mark from about 1 to 10 of the picture alone; the head reads unit CLIP embeddings (the linearMSE version)."""

    def __init__(
        self,
        *,
        path: str,  # CLIP ViT-L/14: folder or hub id
        head: str,  # file of weights, or a folder or hub id that has it
        name: str = "aesthetic",  # of the figures: eval/<name>_after
        batch_size: int = 64,  # pictures scored at once
        dtype: Dtype = "float32",  # of the CLIP's weights; the head is float32
        device: str | None = None,  # null: where the run computes
    ) -> None:
        self.head, self.name = head, name
        self.clip = ClipReward(path=path, name=name, batch_size=batch_size, dtype=dtype, device=device)
        self._head: nn.Sequential | None = None

    def load(self, device: torch.device | str) -> AestheticReward:
        """Loads CLIP and head to `device`. Raises UserError for weights that are missing or do not fit together."""
        state = state_of(self.head, AESTHETIC_HEAD)
        self.clip.load(device)
        width = self.clip.embedding_size
        self._head = linear_chain(state, "layers.", f"reward.head={self.head}", width).to(self.clip.device or device)
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Marks [B] of pictures [B, 3, H, W] in [0, 1], float32; the prompts play no part."""
        if self._head is None:
            raise RuntimeError("AestheticReward.load(device) comes before the first score")
        return self._head(self.clip.embed_images(images)).squeeze(1).to(images.device)

    def identity(self) -> str:
        """CLIP and head."""
        return f"{self.name} ({self.clip.path} with {self.head})"
