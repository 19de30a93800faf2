"""One stage up to the update: from rewards to the samples that are trained (Hu et al., section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor

from src.methods.b2diffurl import selection
from src.methods.b2diffurl.noise import keyed_uniform_int
from src.methods.b2diffurl.preference import COUPLE, couples


@dataclass(frozen=True)
class SelectionOptions:
    """How rewards become advantages and which branches are kept; the names are those of conf/method."""

    normaliser: selection.Normaliser
    std_floor: float
    min_count: int
    selection: selection.Rule
    positive_threshold: float
    negative_threshold: float
    advantage_clip: float | None
    positive_weight: float
    negative_weight: float
    couples: bool = False  # winner and loser of each trunk instead, as preference objectives take them

    @property
    def group(self) -> int:
        """How many kept samples belong together."""
        return COUPLE if self.couples else 1


def draw_prompts(count: int, prompts: int, *, seed: int, stage: int) -> tuple[LongTensor, LongTensor]:
    """A stage's prompt indices, uniform with replacement, and its slots: both [count]."""
    return keyed_uniform_int(prompts, count, seed=seed, stage=stage), torch.arange(count)


def choose(prompts: LongTensor, trunks: LongTensor, rewards: Tensor, history: selection.RewardHistory,
           choice: SelectionOptions) -> tuple[LongTensor, Tensor, dict[str, float]]:
    """Which of a stage's samples are kept, their advantages, and what to log. Adds the rewards to the history.

    Args:
        prompts, trunks: int64 [M], rewards: [M], finite; on the CPU, the samples of all ranks by slot and branch.

    Returns:
        chosen: int64 [P] indices of samples, couples side by side; advantages: float32 [P]; figures.
    """
    z, guarded = selection.normalise(rewards, prompts, trunks, history, kind=choice.normaliser,
                                     std_floor=choice.std_floor, min_count=choice.min_count)
    history.add(prompts, rewards)
    chosen, shares = selection.select(z, trunks, rule=choice.selection, positive=choice.positive_threshold,
                                      negative=choice.negative_threshold)
    if choice.couples:
        chosen = couples(z, trunks, chosen)
        shares["couples"] = len(chosen) / COUPLE / max(1, len(trunks.unique()))
    advantages = selection.advantages(z[chosen], clip=choice.advantage_clip, positive_weight=choice.positive_weight,
                                      negative_weight=choice.negative_weight)
    variance = selection.reward_variance(rewards, trunks)
    stats = {"reward/mean": rewards.mean().item(), "reward/std": rewards.std(correction=0).item()}
    stats |= {f"reward/variance_{name}_trunks": variance[name] for name in ("within", "between")}
    stats |= {"select/frac_zero_std": variance["zero_std"]}
    stats |= {f"select/{name}": share for name, share in shares.items()}
    stats |= {f"select/{name}_samples": float(count) for name, count in guarded.items()}
    return chosen, advantages, stats
