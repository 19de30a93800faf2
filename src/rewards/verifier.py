"""The reward `verifier`: how far a network that reads pictures of the shapes world agrees with the prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.core.places import ROOT, local_path
from src.data import shape_words


class VerifierReward:
    """Mean probability, over the five attributes and 'two clean objects', that the picture is what the prompt says."""

    def __init__(self, *, path: str = "src/models/tiny_sd/weights/verifier", name: str = "verifier") -> None:
        self.path, self.name = path, name
        self._scenes: dict[str, Tensor] = {}

    def load(self, device: torch.device | str) -> VerifierReward:
        """Loads the network to `device`. Raises UserError where its weights are missing."""
        from src.models.tiny_sd.verifier import load_verifier

        self._net = load_verifier(local_path(self.path) or ROOT / self.path).to(device)
        return self

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [B] in [0, 1] of pictures [B, 3, 32, 32] in [0, 1]. Raises UserError for prompts of another world."""
        return self._judge(images, prompts).probability.mean(1)

    def details(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Shares for an evaluation, [B] each: every attribute, clean, and `all_right` (clean, all attributes right)."""
        verdict = self._judge(images, prompts)
        named = dict(zip((f"{self.name}_{name}" for name in shape_words.ATTRIBUTES), verdict.attributes.T, strict=True))
        return {"all_right": verdict.all_right, self.name: verdict.probability.mean(1)} | named | {
            f"{self.name}_clean": verdict.clean}

    def identity(self) -> str:
        return f"{self.name} ({self.path})"

    def _judge(self, images: Tensor, prompts: Sequence[str]):
        from src.models.tiny_sd.verifier import scenes_of

        for prompt in set(prompts) - self._scenes.keys():
            self._scenes[prompt] = scenes_of([prompt])[0]
        scenes = torch.stack([self._scenes[prompt] for prompt in prompts]).to(images.device)
        return self._net.judge(images, scenes)
