"""Diversity in CLIP's space: mean distance and Vendi score of the image embeddings of one prompt's pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from src.methods.b2diffurl.diversity import cosine_distance, vendi_score
from src.methods.b2diffurl.measures.base import Advance, Drawn
from src.rewards.base import Reward
from src.rewards.clip import ClipReward


class ClipDiversity:
    """`clip_distance`: mean of 1 - cosine over pairs of pictures of one prompt; `clip_vendi`: how many differ."""

    def __init__(
        self,
        *,
        path: str | None,  # folder (from here, else from the project's root) or hub id
        backend: Literal["transformers", "open_clip"] = "transformers",
        batch: int = 64,  # pictures embedded at once
    ) -> None:
        self.batch = batch
        self.clip = ClipReward(path=path, backend=backend, batch_size=batch)

    def load(self, device: torch.device, scorers: Mapping[str, Reward]) -> ClipDiversity:
        own = self.clip
        for scorer in scorers.values():
            if isinstance(scorer, ClipReward) and (scorer.path, scorer.backend) == (own.path, own.backend):
                self.clip = scorer
                return self
        own.load(device)
        return self

    def __call__(self, drawn: Drawn, advance: Advance) -> dict[str, float]:
        prompts, count = drawn.pictures.shape[:2]
        device = torch.device("cpu")  # the CLIP moves pictures to where it is
        parts = [self.clip.embed_images(batch).cpu() for batch in drawn.batches(self.batch, device, advance)]
        embeddings = torch.cat(parts)
        groups = torch.arange(prompts).repeat_interleave(count)
        distance = cosine_distance(embeddings.unflatten(0, (prompts, count)))
        return {"clip_distance": distance.mean().item(), "clip_vendi": vendi_score(embeddings, groups)}

    def identity(self) -> str:
        return f"clip {self.clip.backend} {self.clip.path}"
