"""One stage up to the update: from a rollout and its rewards to the samples that are trained (Hu et al., section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor

from src.methods.b2diffurl import selection
from src.methods.b2diffurl.noise import keyed_uniform_int
from src.methods.b2diffurl.preference import COUPLE, couples
from src.methods.b2diffurl.sampling import Rollout
from src.methods.b2diffurl.update import Kept

Score = Callable[[Tensor, LongTensor], Tensor]  # pictures [B, 3, H, W], prompt indices [B] -> rewards [B]


@dataclass(frozen=True)
class Choice:
    """How rewards become advantages and which branches are kept; the names are those of conf/method."""

    normaliser: selection.Normaliser
    std_floor: float
    selection: selection.Rule
    positive_threshold: float
    negative_threshold: float
    advantage_clip: float | None
    positive_weight: float
    negative_weight: float
    couples: bool = False  # winner and loser of each trunk instead, as preference objectives take them


def draw_prompts(count: int, prompts: int, *, seed: int, stage: int) -> tuple[LongTensor, LongTensor]:
    """A stage's prompt indices, uniform with replacement, and its slots: both [count]."""
    return keyed_uniform_int(prompts, count, seed=seed, stage=stage), torch.arange(count)


def choose(rollout: Rollout, rewards: Tensor, history: selection.RewardHistory, choice: Choice,
           usable: int) -> tuple[Kept, dict[str, float]]:
    """The kept samples with their advantages, and what to log. Adds the stage's rewards to the history.

    Args:
        rewards: [M] of the rollout's samples, finite.
        usable: number of the chain's steps that have a log-probability.
    """
    prompts, trunks, scores = rollout.prompt_index.cpu(), rollout.trunks.cpu(), rewards.cpu()
    z, guarded = selection.normalise(scores, prompts, trunks, history, kind=choice.normaliser,
                                     std_floor=choice.std_floor)
    history.add(prompts, scores)
    chosen, shares = selection.select(z, trunks, rule=choice.selection, positive=choice.positive_threshold,
                                      negative=choice.negative_threshold)
    if choice.couples:
        chosen = couples(z, trunks, chosen)
        shares["couples"] = len(chosen) / COUPLE / max(1, len(trunks.unique()))
    advantages = selection.advantages(z[chosen], clip=choice.advantage_clip, positive_weight=choice.positive_weight,
                                      negative_weight=choice.negative_weight)
    variance = selection.reward_variance(scores, trunks)
    stats = {"reward/mean": scores.mean().item(), "reward/std": scores.std(correction=0).item()}
    stats |= {f"reward/variance_{name}_trunks": variance[name] for name in ("within", "between")}
    stats |= {"select/frac_zero_std": variance["zero_std"]}
    stats |= {f"select/{name}": share for name, share in shares.items()}
    stats |= {f"select/{name}_samples": float(count) for name, count in guarded.items()}
    device = rollout.latents.device
    group = COUPLE if choice.couples else 1
    return Kept.of(rollout, chosen.to(device), advantages.to(device), usable, group), stats
