"""What every reward is."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

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


def unlike_scores(scores: Any, pictures: int) -> str | None:
    """What `scores` are, if not a tensor of one real number for each picture; None if they are."""
    if isinstance(scores, Tensor):
        kind = "a complex tensor" if scores.is_complex() else "a tensor"
        fine = scores.shape == (pictures,) and not scores.is_complex()
        return None if fine else f"{kind} of shape {tuple(scores.shape)} for {pictures} pictures"
    inside = dict.fromkeys(type(item).__name__ for item in scores) if isinstance(scores, list | tuple) else ()
    return f"a {type(scores).__name__}{' of ' if inside else ''}{' and '.join(inside)} for {pictures} pictures"
