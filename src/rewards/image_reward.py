"""The reward `image_reward`: BLIP with a head tuned on people's rankings (Xu et al., arXiv 2304.05977).

The authors' package does not import beside transformers 5; here the library's own BLIP carries their weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.models.fetch import loading
from src.rewards.blip_weights import build
from src.rewards.needs import IMAGE_REWARD, WORD_PIECES
from src.rewards.preprocess import Preprocess
from src.rewards.weights import Dtype, folder_of, linear_chain, state_of

MEAN, STD = 0.16717362830052426, 1.0333394966054072  # of the head's answers, published with the weights
TOKENS = 35  # of a prompt, padding included
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ImageRewardReward:
    """How well a picture answers its prompt and how good it looks; mean 0 and deviation 1 over the authors' data."""

    def __init__(
        self,
        *,
        path: str,  # ImageReward.pt, or a folder or hub id that has it
        tokenizer: str,  # BERT's (uncased): folder or hub id
        name: str = "image_reward",  # of the figures: eval/<name>_after
        batch_size: int = 32,  # pictures scored at once
        dtype: Dtype = "float32",  # of BLIP's weights; the head is float32
        device: str | None = None,  # null: where the run computes
    ) -> None:
        self.path, self.tokenizer, self.name = path, tokenizer, name
        self.batch_size, self.device = batch_size, device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self._preprocess: Preprocess | None = None

    def load(self, device: torch.device | str) -> ImageRewardReward:
        """Loads BLIP and head to `device`. Raises UserError for weights that are missing or another model's."""
        from transformers import AutoTokenizer

        self._device = torch.device(self.device or device)
        words, state = folder_of(self.tokenizer, WORD_PIECES), state_of(self.path, IMAGE_REWARD)
        with loading("reward.tokenizer", self.tokenizer):
            self._tokenizer = AutoTokenizer.from_pretrained(words)
        encoders = build(state, self.path)
        self._vision, self._text = (
            encoder.to(self._device, self.dtype).eval().requires_grad_(False) for encoder in encoders)
        width = self._text.config.hidden_size
        self._head = linear_chain(state, "mlp.layers.", f"reward.path={self.path}", width).to(self._device)
        side = self._vision.config.image_size
        self._preprocess = Preprocess((side,), (side, side), CLIP_MEAN, CLIP_STD)
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [B] of pictures [B, 3, H, W] in [0, 1], float32, on the pictures' device."""
        if self._preprocess is None:
            raise RuntimeError("ImageRewardReward.load(device) comes before the first score")
        starts = range(0, len(images), self.batch_size)
        parts = [self._scores(images[i : i + self.batch_size], list(prompts[i : i + self.batch_size])) for i in starts]
        return torch.cat(parts).to(images.device)

    def identity(self) -> str:
        return f"{self.name} ({self.path})"

    def _scores(self, images: Tensor, prompts: list[str]) -> Tensor:
        pixels = self._preprocess(images.to(self._device)).to(self.dtype)
        seen = self._vision(pixel_values=pixels).last_hidden_state  # [B, 1 + patches, width]
        tokens = self._tokenizer(prompts, padding="max_length", truncation=True, max_length=TOKENS,
                                 return_tensors="pt").to(self._device)
        read = self._text(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask,
                          encoder_hidden_states=seen).last_hidden_state
        return (self._head(read[:, 0].float()).squeeze(1) - MEAN) / STD
