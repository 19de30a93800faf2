"""Turns the tally of an evaluation into what measures take."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import LongTensor, Tensor

from src.methods.b2diffurl.diversity import pairwise_distance, vendi_score
from src.methods.b2diffurl.evaluation import Tally


def rows_of(tally: Tally, split: str) -> LongTensor:
    """The tally's rows of a split, prompt by prompt."""
    rows = torch.tensor([place for place, name in enumerate(tally.split) if name == split])
    return rows[torch.cat(tally.prompt_index)[rows].argsort(stable=True)]


def pictures_of(tally: Tally, rows: LongTensor) -> Tensor:
    """uint8 [prompts, n, 3, H, W]."""
    prompts = len(torch.cat(tally.prompt_index)[rows].unique())
    return torch.cat(tally.pictures)[rows].unflatten(0, (prompts, -1))


def plain_figures(tally: Tally, rows: LongTensor) -> dict[str, float]:
    """Means of all scores, and the diversity of latents, which needs no network. A score's details, such as
    `verifier_relation` of `verifier`, are called `verifier/relation`."""
    names = tally.scores[0].keys()
    found = {_detailed(name, names): torch.cat([part[name] for part in tally.scores])[rows].double().mean().item()
             for name in names}
    latents, prompts = torch.cat(tally.latents)[rows], torch.cat(tally.prompt_index)[rows]
    return found | {"latent_distance": pairwise_distance(latents, prompts),
                    "latent_vendi": vendi_score(latents, prompts)}


def _detailed(name: str, names: Iterable[str]) -> str:
    owner = next((other for other in names if name.startswith(f"{other}_")), None)
    return f"{owner}/{name.removeprefix(f'{owner}_')}" if owner else name
