"""What every reward is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Reward(Protocol):
    """Scores pictures against their prompts. The constructor is light; `load` brings the weights."""

    name: str  # short, for figures: eval/<name>_after

    def load(self, device: torch.device | str) -> Reward:
        """Loads the weights to `device`; called once, before the first call."""
        ...

    def __call__(self, images: Tensor, prompts: list[str]) -> Tensor:
        """Scores [B] (float32, more is better) of pictures [B, 3, H, W] in [0, 1]; no gradient."""
        ...

    def identity(self) -> str:
        """What scored, for checkpoints and model cards."""
        ...
