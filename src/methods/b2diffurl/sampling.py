"""Branch-based sampling: N trunks are denoised together, then every trunk splits into K branches, again in one batch.

Hu et al., arXiv 2503.11240, section on branch-based sampling. Siblings share all but the actions of the last s of T
steps, so comparing them tells what those actions were worth. Costs (T - s) + K s evaluations a trunk instead of K T.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor

from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.noise import keyed_normal

Denoise = Callable[[Tensor, LongTensor, LongTensor], Tensor]
TRUNK = -1  # the branch number of noise that all branches share
INITIAL = -1  # the step number of the initial noise
NOISE_ROWS = 64  # rows whose noise is made at once: at work it takes about 12 times what it gives


@dataclass(frozen=True)
class Rollout:
    """N trunks x K branches = M samples; sample n * K + k is branch k of the n-th trunk given to `rollout`.

    `trajectory` and `log_probs` cover the interval only and are None where nothing was kept. The action of pair (m, j)
    is x = trajectory[m, j] -> trajectory[m, j + 1] at denoising step `step_indices[j]`.
    """

    latents: Tensor  # [M, C, H, W] float32: x_0
    prompt_index: LongTensor  # [M]
    trunks: LongTensor  # [M] the slot of the sample's trunk
    step_indices: LongTensor  # [s] the last s of 0 .. T - 1
    trajectory: Tensor | None  # [M, s + 1, C, H, W] float32
    log_probs: Tensor | None  # [M, s] float32, averaged over latent dimensions


@torch.no_grad()
def rollout(
    denoise: Denoise,
    ddim: Ddim,
    prompt_index: LongTensor,
    slots: LongTensor,
    *,
    branches: int,
    interval: int,
    latent_shape: Sequence[int],
    seed: int,
    stage: int,
    max_batch: int | None = None,
    keep: bool = True,
    shared_trunk: bool = True,
    progress: Callable[[int], None] | None = None,
    most: int = 0,
) -> Rollout:
    """Sample every trunk's first T - s steps once and its last s steps `branches` times.

    Args:
        denoise: (latents [B, C, H, W] float32, step_index int64 [B], prompt_index int64 [B]) -> model output
            [B, C, H, W]; guidance happens inside.
        prompt_index: [N] one prompt per trunk.
        slots: [N] global trunk numbers: with `seed` and `stage` they alone decide a trunk's noise.
        branches: K.
        interval: s, 1 to T: the last steps, which are branched and kept.
        latent_shape: [C, H, W].
        max_batch: largest number of rows `denoise` is given at once; None: no limit.
        keep: store trajectory and log-probabilities of the interval (training), or nothing (evaluation).
        shared_trunk: False: siblings share the initial noise alone and part before the first step, so that an
            interval can be trained without branch-based sampling.
        progress: called with 1 after each of the T steps.
        most: the most trunks that any process is given, where all have to call `denoise` equally often: calls without
            rows make up the difference.
    """
    if not 1 <= interval <= ddim.steps or branches < 1:
        raise ValueError(f"interval={interval}, branches={branches}: need 1 <= interval <= {ddim.steps}, branches >= 1")
    walk = _Walk(denoise, ddim, tuple(latent_shape), seed, stage, max_batch, progress, most)
    first = ddim.steps - interval
    parting = first if shared_trunk else 0
    latents = walk.noise(slots, torch.full_like(slots, TRUNK), INITIAL)
    for step in range(parting):
        _, latents = walk.step(latents, step, prompt_index, slots, torch.full_like(slots, TRUNK))

    latents, prompt_index, trunks = (rows.repeat_interleave(branches, 0) for rows in (latents, prompt_index, slots))
    walk.most *= branches
    branch = torch.arange(branches, device=slots.device).repeat(len(slots))
    trajectory = latents.new_empty(len(latents), interval + 1, *latents.shape[1:]) if keep else None
    log_probs = latents.new_empty(len(latents), interval) if keep else None
    for step in range(parting, first):
        _, latents = walk.step(latents, step, prompt_index, trunks, branch)
    if keep:
        trajectory[:, 0] = latents
    for j, step in enumerate(range(first, ddim.steps)):
        mean, latents = walk.step(latents, step, prompt_index, trunks, branch)
        if keep:
            trajectory[:, j + 1], log_probs[:, j] = latents, ddim.log_prob(latents, mean, step)
    return Rollout(
        latents=latents,
        prompt_index=prompt_index,
        trunks=trunks,
        step_indices=torch.arange(first, ddim.steps, device=latents.device),
        trajectory=trajectory,
        log_probs=log_probs,
    )


@dataclass
class _Walk:
    """One rollout's constants."""

    denoise: Denoise
    ddim: Ddim
    latent_shape: tuple[int, ...]
    seed: int
    stage: int
    max_batch: int | None
    progress: Callable[[int], None] | None
    most: int  # rows of the process that has most of them

    def step(
        self, latents: Tensor, step: int, prompt_index: LongTensor, slots: LongTensor, branches: LongTensor
    ) -> tuple[Tensor, Tensor]:
        """Denoise all rows by one step: (mu, x_{t-1}), both [B, C, H, W]."""
        outputs = []
        size = self.max_batch or max(len(latents), self.most, 1)
        for rows, prompts in zip(latents.split(size), prompt_index.split(size), strict=True):
            outputs.append(self.denoise(rows, torch.full_like(prompts, step), prompts))
        for _ in range(math.ceil(self.most / size) - len(outputs) if self.most else 0):
            self.denoise(latents[:0], prompt_index[:0], prompt_index[:0])
        mean = self.ddim.mean(latents, torch.cat(outputs), step)
        latents = self.ddim.add_noise(mean, self.noise(slots, branches, step), step)
        if self.progress:
            self.progress(1)
        return mean, latents

    def noise(self, slots: LongTensor, branches: LongTensor, step: int) -> Tensor:
        key = {"seed": self.seed, "stage": self.stage, "step": step, "device": self.ddim.sigma.device}
        rows = zip(slots.split(NOISE_ROWS), branches.split(NOISE_ROWS), strict=True)
        return torch.cat([keyed_normal(self.latent_shape, slots=slot, branches=branch, **key) for slot, branch in rows])
