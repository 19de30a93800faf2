"""Rewards without weights, and rewards that fail in the ways rewards do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor


class Redness:
    """How red a picture is; the prompt shifts it, so that prompts differ in their mean."""

    def __init__(self, *, name: str = "redness") -> None:
        self.name = name

    def load(self, device: torch.device | str) -> Redness:
        return self

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        shift = torch.tensor([0.01 * len(prompt) for prompt in prompts], device=images.device)
        return images[:, 0].mean((1, 2)) - images[:, 1:].mean((1, 2, 3)) + shift

    def identity(self) -> str:
        return f"{self.name} (a formula)"


class Judge(Redness):
    """Scores several things at once, as a verifier does."""

    def details(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
        red = self(images, prompts)
        return {"all_right": (red > red.median()).float(), self.name: red}


Failure = Literal["raises", "not_finite", "short"]


class Failing(Redness):
    """Sound for `sound` calls, then it fails: an exception, a NaN, or one score too few."""

    def __init__(self, *, name: str = "failing", failure: Failure, sound: int = 0) -> None:
        super().__init__(name=name)
        self.failure, self.sound = failure, sound

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Any:
        scores = super().__call__(images, prompts)
        self.sound -= 1
        if self.sound >= 0:
            return scores
        if self.failure == "raises":
            raise RuntimeError("the scoring service is down")
        return scores[:-1] if self.failure == "short" else scores.index_fill(0, torch.tensor([1]), torch.nan)
