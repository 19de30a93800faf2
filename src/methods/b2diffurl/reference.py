"""What the pretrained policy says of the kept actions, computed once a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import LongTensor

from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.sampling import Denoise
from src.methods.b2diffurl.update import Kept, pairs_of, policy


@torch.no_grad()
def with_reference(reference: AbstractContextManager[None], denoise: Denoise, ddim: Ddim, kept: Kept,
                   parts: Sequence[LongTensor], micro_batch: int, *, means: bool,
                   progress: Callable[[int], None] | None = None) -> Kept:
    """`kept` with the reference's log-probabilities and, for a KL, its means.

    One evaluation for each pair, however many inner epochs follow: the frozen policy does not change. In the very
    micro-batches of the first pass, so that an adapter that is still zero differs by nothing, not even rounding.

    Args:
        reference: inside it, `denoise` is the pretrained policy.
        parts: the samples of each update of the stage's first pass; together all of them.
        means: keep mu_ref [M, s, C, H, W] too, as much memory as the trajectory.
    """
    log_probs = torch.empty_like(kept.old_log_probs)
    kept_means = torch.empty_like(kept.trajectory[:, 1:]) if means else None
    with reference:
        for samples in parts:
            rows = samples.to(log_probs.device, non_blocking=True)
            for pairs in pairs_of(rows, len(kept.step_indices), micro_batch, kept.group):
                place = pairs.sample[: pairs.real], pairs.step[: pairs.real]
                mean, log_probs[place] = policy(denoise, ddim, kept, pairs)
                if means:
                    kept_means[place] = mean
                if progress:
                    progress(pairs.real)
    return replace(kept, reference_log_probs=log_probs, reference_means=kept_means)
