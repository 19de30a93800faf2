"""The reward `pick_score`: a CLIP ViT-H/14 tuned on people's choices (Kirstain et al., arXiv 2305.01569)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.rewards.clip import ClipReward
from src.rewards.clip_backends import TransformersClip
from src.rewards.needs import PICK_SCORE, PICK_SCORE_PROCESSOR
from src.rewards.weights import Dtype, folder_of


class PickScoreReward(ClipReward):
    """Cosine times the model's learnt scale (about 100), as published: about 18 to 24."""

    def __init__(
        self,
        *,
        path: str,  # folder or hub id
        processor: str,  # folder or hub id of tokenizer and image processor: those of the CLIP it was tuned from
        name: str = "pick_score",  # of the figures: eval/<name>_after
        batch_size: int = 16,  # pictures scored at once
        dtype: Dtype = "float32",  # of the weights; the cosine is float32
        device: str | None = None,  # null: where the run computes
    ) -> None:
        super().__init__(path=path, name=name, batch_size=batch_size, dtype=dtype, device=device)
        self.processor, self.scale = processor, 1.0

    def load(self, device: torch.device | str) -> PickScoreReward:
        """Loads the CLIP to `device`. Raises UserError for missing weights."""
        processor = folder_of(self.processor, PICK_SCORE_PROCESSOR)
        device = torch.device(self.device or device)
        self._clip = TransformersClip(self.path, self.dtype, device, PICK_SCORE, processor)
        self.scale = self._clip.model.logit_scale.float().exp().item()
        self._texts.clear()
        return self

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [B] of pictures [B, 3, H, W] in [0, 1], float32, on the pictures' device."""
        return self.scale * super().__call__(images, prompts)
