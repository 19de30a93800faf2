"""The reward `clip`: cosine of a picture's and its prompt's CLIP embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from src.core.errors import UserError
from src.rewards.clip_backends import ClipBackend, OpenClip, TransformersClip
from src.rewards.weights import Dtype


class ClipReward:
    """Text-image alignment in [-1, 1] by any CLIP of transformers or open_clip; prompts are embedded once."""

    def __init__(
        self,
        *,
        path: str | None,  # folder (from here, else from the project's root), hub id, or for open_clip a weights file
        name: str = "clip",  # of the figures: eval/<name>_after
        backend: Literal["transformers", "open_clip"] = "transformers",
        arch: str = "ViT-H-14",  # open_clip's name of the architecture; only for a bare weights file
        batch_size: int = 64,  # pictures scored at once
        dtype: Dtype = "float32",  # of the weights; the cosine is float32
        device: str | None = None,  # null: where the run computes
    ) -> None:
        self.path, self.name, self.backend, self.arch = path, name, backend, arch
        self.batch_size, self.device = batch_size, device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self._clip: ClipBackend | None = None
        self._texts: dict[str, Tensor] = {}  # prompt -> unit embedding [D]

    def load(self, device: torch.device | str) -> ClipReward:
        """Loads the CLIP to `device`. Raises UserError for missing weights or a missing package."""
        if not self.path:
            raise UserError("reward.path is null: this model names no CLIP (model.clip_path). "
                            "Give a folder or a hub id, or choose reward=clip_vit_l14.")
        device = torch.device(self.device or device)
        if self.backend == "open_clip":
            self._clip = OpenClip(self.path, self.arch, self.dtype, device)
        else:
            self._clip = TransformersClip(self.path, self.dtype, device)
        self._texts.clear()
        return self

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Cosines [B] of pictures [B, 3, H, W] in [0, 1] and their prompts, float32, on the pictures' device."""
        return (self.embed_images(images) * self.embed_texts(prompts)).sum(-1).to(images.device)

    def identity(self) -> str:
        """Library and weights."""
        return f"{self.name} ({self.backend} {self.path})"

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """Unit embeddings [B, D] of pictures [B, 3, H, W] in [0, 1], float32; a feature space for distances."""
        chunks = [self._loaded().images(chunk).float() for chunk in images.split(self.batch_size)]
        return normalize(torch.cat(chunks), dim=-1)

    @torch.no_grad()
    def embed_texts(self, prompts: Sequence[str]) -> Tensor:
        """Unit embeddings [B, D] of prompts, float32; each prompt is embedded once."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._texts]
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            self._texts.update(zip(batch, normalize(self._loaded().texts(batch).float(), dim=-1), strict=True))
        return torch.stack([self._texts[prompt] for prompt in prompts])

    @property
    def embedding_size(self) -> int:
        """Width D of the embeddings."""
        return self.embed_texts([""]).shape[1]

    def _loaded(self) -> ClipBackend:
        if self._clip is None:
            raise RuntimeError("ClipReward.load(device) comes before the first score")
        return self._clip
