"""Stable Diffusion XL: two text encoders, a pooled embedding and the picture's size beside the prompt.

Podell et al., *SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis*, sections 2.1 and 2.2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import LongTensor, Tensor

from src.models.diffusion import DiffusionModel
from src.models.text import TextEncoder


@dataclass(frozen=True)
class Conditions:
    """What the UNet is told of P prompts, in float32; rows are taken as from a tensor."""

    tokens: Tensor  # [P, L, D]: both encoders' states side by side
    pooled: Tensor  # [P, D']: the second encoder's embedding of the whole prompt

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: LongTensor | slice) -> Conditions:
        return Conditions(self.tokens[rows], self.pooled[rows])

    def to(self, *where: torch.device | str | torch.dtype) -> Conditions:
        """On another device, or in another precision."""
        return Conditions(self.tokens.to(*where), self.pooled.to(*where))

    @property
    def nbytes(self) -> int:
        """Of both tensors."""
        return self.tokens.nbytes + self.pooled.nbytes

    @staticmethod
    def joined(parts: Sequence[Conditions]) -> Conditions:
        """The rows of all, one after the other."""
        return Conditions(torch.cat([part.tokens for part in parts]), torch.cat([part.pooled for part in parts]))


class StableDiffusionXL(DiffusionModel):
    """As DiffusionModel, of a StableDiffusionXLPipeline folder; the picture counts as uncropped and of full size."""

    pipeline = "StableDiffusionXLPipeline"

    def load(self, device: torch.device | str) -> StableDiffusionXL:
        """As DiffusionModel's."""
        super().load(device)
        height, width = (side * self.vae_scale for side in self.latent_shape[1:])
        # [1, 6]: height and width of the original, top and left of the crop, height and width of the picture
        self.sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=torch.float32, device=self.device)
        return self

    def _load_text(self, folder: Path) -> None:
        self.text = TextEncoder(folder, self.device, self.dtype)
        self.text_2 = TextEncoder(folder, self.device, self.dtype, suffix="_2", projection=True)
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        self.zeros_for_empty = index.get("force_zeros_for_empty_prompt", True)  # the pipeline's own default

    def _vae_dtype(self, folder: Path) -> torch.dtype:
        """SDXL's decoder overflows in float16; its configuration says so, as a repaired one's says that it does not."""
        config = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
        overflows = self.dtype == torch.float16 and config.get("force_upcast", True)
        return torch.float32 if overflows else self.dtype

    def encode_prompts(self, prompts: Sequence[str], batch: int = 64) -> Conditions:
        """What the pipeline's own encode_prompt gives: [P, L, D] and [P, D']. The caller caches."""
        states, _ = self.text.penultimate_states(prompts, batch)
        states_2, pooled = self.text_2.penultimate_states(prompts, batch)
        return Conditions(torch.cat([states, states_2], dim=-1), pooled)

    def _encode_empty(self) -> Conditions:
        empty = self.encode_prompts([""])
        if self.zeros_for_empty:
            return Conditions(torch.zeros_like(empty.tokens), torch.zeros_like(empty.pooled))
        return empty

    def _with_empty(self, conditions: Conditions) -> Conditions:
        rows, empty = len(conditions), self.empty_embedding
        empty = Conditions(empty.tokens.expand(rows, -1, -1), empty.pooled.expand(rows, -1))
        return Conditions.joined([empty, conditions])

    def _unet_inputs(self, conditions: Conditions) -> dict[str, Any]:
        added = {"text_embeds": conditions.pooled.to(self.dtype), "time_ids": self.sizes.expand(len(conditions), -1)}
        return {"encoder_hidden_states": conditions.tokens.to(self.dtype), "added_cond_kwargs": added}
