"""The reward `mix`: a weighted sum of rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from src.core.errors import UserError
from src.rewards.base import Reward, unlike_scores


@dataclass(frozen=True)
class Scale:
    """A part's weight, and what its values are brought to mean 0 and deviation 1 with."""

    weight: float
    mean: float = 0.0
    std: float = 1.0

    def __str__(self) -> str:
        brought = "" if (self.mean, self.std) == (0.0, 1.0) else f" (mean {self.mean:g}, std {self.std:g})"
        return f"{self.weight:g}{brought}"

    @classmethod
    def of(cls, given: float | Mapping[str, Any]) -> Scale:
        """From `0.5` or `{weight: 0.5, mean: 5.3, std: 0.6, ...}`; other keys are the part's own options."""
        if not isinstance(given, Mapping):
            return cls(float(given))
        return cls(**{key: float(given[key]) for key in ("weight", "mean", "std") if key in given})


class MixReward:
    """sum over the parts of weight * (value - mean) / std, with mean 0 and std 1 unless they are given.

    Nothing is estimated on the way: a picture's score does not depend on its batch, its stage, or a resumed run. With
    bare weights a part counts in its own units, so compare the parts' standard deviations (eval/<name>_<part>).
    """

    def __init__(
        self,
        *,
        parts: dict[str, Any] | None,  # {reward: weight} or {reward: {weight: ..., mean: ..., std: ..., its options}}
        rewards: dict[str, Reward],  # the same names; what they stand for
        name: str = "mix",  # of the figures: eval/<name>_after, eval/<name>_<part>_after
        device: str | None = None,  # null: where the run computes; a part's own device wins
    ) -> None:
        self.name, self.rewards, self.device = name, dict(rewards), device
        self.scales = {part: Scale.of(given) for part, given in (parts or {}).items()}
        if not self.scales or self.scales.keys() != self.rewards.keys():
            raise UserError(f"reward.parts={parts}", "names rewards and their weights",
                            "write reward.parts={clip:1.0,jpeg_compressibility:0.01}")

    def load(self, device: torch.device | str) -> MixReward:
        """Loads every part to `device`. Raises UserError for a part's missing weights."""
        for reward in self.rewards.values():
            reward.load(self.device or device)
        return self

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores [B] of pictures [B, 3, H, W] in [0, 1], float32. Raises ValueError naming a part that fails."""
        return self._sum(self._values(images, prompts))

    def details(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
        """For an evaluation, [B] each: the sum, and every part's value in its own units."""
        values = self._values(images, prompts)
        return {self.name: self._sum(values)} | {f"{self.name}_{part}": value for part, value in values.items()}

    def identity(self) -> str:
        parts = (f"{scale} x {self.rewards[part].identity()}" for part, scale in self.scales.items())
        return f"{self.name} ({' + '.join(parts)})"

    def _values(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
        return {part: _checked(part, reward(images, list(prompts)), images) for part, reward in self.rewards.items()}

    def _sum(self, values: dict[str, Tensor]) -> Tensor:
        scaled = [s.weight * (values[part] - s.mean) / s.std for part, s in self.scales.items()]
        return torch.stack(scaled).sum(0)


def _checked(part: str, scores: Any, images: Tensor) -> Tensor:
    """A sum hides which part was wrong, so each is looked at."""
    if unlike := unlike_scores(scores, len(images)):
        raise ValueError(f"its part {part} gave {unlike}")
    if not scores.isfinite().all():
        raise ValueError(f"its part {part} gave a score that is not finite")
    return scores.detach().float().to(images.device)
