"""Evaluation on fixed noise: the same prompts and the same initial and step noise for every method and checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import LongTensor, Tensor

from src.methods.b2diffurl.diversity import pairwise_distance, vendi_score

EVALUATION_STAGE = -1  # a noise stream that no training stage uses
SPLITS = {"eval": "training prompts", "heldout": "held-out prompts"}  # prefix of the figures -> what it means


@dataclass(frozen=True)
class Task:
    """One batch of pictures to draw and to score."""

    split: str  # a key of SPLITS
    prompt_index: LongTensor  # [B] into the list of all prompts, training prompts first
    slots: LongTensor  # [B] decide the noise

    @property
    def first(self) -> Tensor:
        """bool [B]: the first pictures of their prompts, as `tasks` numbers them."""
        return self.slots == self.prompt_index


def tasks(train: int, heldout: int, *, prompts: int, images: int, batch: int) -> list[Task]:
    """The first `prompts` prompts of both splits, `images` pictures each, in batches; empty splits are left out.

    Slots count pictures per prompt in the outer order, so that fewer images per prompt are a subset of more.
    """
    found = []
    for split, offset, available in (("eval", 0, train), ("heldout", train, heldout)):
        index = offset + torch.arange(min(prompts, available))
        everything = index.repeat(images)
        slots = everything + (train + heldout) * torch.arange(images).repeat_interleave(len(index))
        pairs = zip(everything.split(batch), slots.split(batch), strict=True) if len(index) else ()
        found += [Task(split, p, s) for p, s in pairs]
    return found


def share_of(plan: list[Task], part: int, parts: int) -> list[Task]:
    """Consecutive tasks for one of several processes: as many for each, the last ones' being empty where it does not
    come out even. The shares one after the other are the plan."""
    size = -(-len(plan) // parts)
    own = plan[part * size : (part + 1) * size]
    nothing = torch.empty(0, dtype=torch.int64)
    return own + [Task("", nothing, nothing)] * (size - len(own))


@dataclass
class Tally:
    """What an evaluation has seen so far, kept on the CPU."""

    split: list[str] = field(default_factory=list)
    prompt_index: list[Tensor] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    scores: list[dict[str, Tensor]] = field(default_factory=list)
    pictured: list[Tensor] = field(default_factory=list)  # bool [B]: whose picture is kept
    pictures: list[Tensor] = field(default_factory=list)  # uint8 [at most B, 3, H, W]

    @classmethod
    def of(cls, tallies: Sequence[Tally]) -> Tally:
        """What several processes have seen, one after the other."""
        return cls(*([item for tally in tallies for item in getattr(tally, part.name)] for part in fields(cls)))

    def add(self, task: Task, latents: Tensor, pictures: Tensor, scores: dict[str, Tensor], *,
            every: bool = False) -> None:
        """A task's results. Without `every` only each prompt's first picture is kept: those that are shown."""
        self.split += [task.split] * len(task.slots)
        self.prompt_index.append(task.prompt_index.cpu())
        self.latents.append(latents.cpu())
        kept = task.first | every
        self.pictured.append(kept.cpu())
        self.pictures.append((pictures[kept] * 255).round().byte().cpu())
        self.scores.append({name: values.float().cpu() for name, values in scores.items()})

    def figures(self) -> dict[str, float]:
        """Mean of every score per split, and the diversity of pictures that share a prompt."""
        index, latents = torch.cat(self.prompt_index), torch.cat(self.latents)
        found: dict[str, float] = {}
        for split in dict.fromkeys(self.split):
            rows = torch.tensor([name == split for name in self.split])
            for score in self.scores[0]:
                values = torch.cat([part[score] for part in self.scores])[rows]
                found[f"{split}/{score}"] = values.mean().item()
            suffix = "" if split == "eval" else f"_{split}"
            if len(index[rows]) > len(index[rows].unique()):
                found[f"diversity/latent{suffix}"] = pairwise_distance(latents[rows], index[rows])
                found[f"diversity/vendi{suffix}"] = vendi_score(latents[rows], index[rows])
        return found
