"""The samples a stage keeps, and the policy update on their (sample, step) pairs in micro-batches of one shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import LongTensor, Tensor

from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.noise import keyed_permutation
from src.methods.b2diffurl.objectives.base import Objective
from src.methods.b2diffurl.sampling import Denoise, Rollout

TURNS = 2  # with 1, two samples of a trunk would hardly ever share a step; more would balance small shares less


@dataclass(frozen=True)
class Kept:
    """M kept samples with the s steps of the interval that have a log-probability.

    `group` samples in a row belong together and stay together: 2 for couples of winner and loser, else 1.
    """

    trajectory: Tensor  # [M, s + 1, C, H, W] float32
    old_log_probs: Tensor  # [M, s]
    advantages: Tensor  # [M]
    prompt_index: LongTensor  # [M]
    step_indices: LongTensor  # [s]
    group: int = 1
    reference_log_probs: Tensor | None = None  # [M, s] of the pretrained policy, where the objective needs it
    reference_means: Tensor | None = None  # [M, s, C, H, W]

    @classmethod
    def of(cls, rollout: Rollout, chosen: LongTensor, advantages: Tensor, usable: int, group: int = 1) -> Kept:
        """The `chosen` samples of a rollout. `usable` counts the steps with sigma > 0: all, or all but the last."""
        steps = rollout.step_indices[rollout.step_indices < usable]
        return cls(rollout.trajectory[chosen, : len(steps) + 1], rollout.log_probs[chosen, : len(steps)],
                   advantages, rollout.prompt_index[chosen], steps, group)

    def __len__(self) -> int:
        return len(self.advantages)


@dataclass(frozen=True)
class Pairs:
    """A micro-batch: B places in the M x s grid. The last micro-batch of an update repeats its first pair up to B rows,
    so that all of them have one shape; only the first `real` rows count. With B = 0 a process takes part in a pass
    through a network whose weights are shared."""

    sample: LongTensor  # [B]
    step: LongTensor  # [B] place in the interval, 0 .. s - 1
    real: int


def pairs_of(samples: LongTensor, steps: int, micro_batch: int, group: int = 1, most: int = 0) -> Iterator[Pairs]:
    """All (sample, step) pairs of `samples` [B] in micro-batches: group by group, and in a group step by step, so that
    its samples stand side by side at every step. `micro_batch` is a multiple of `group`.

    Where `most` samples would make more micro-batches, empty ones follow.
    """
    member = samples.view(-1, 1, group)  # [groups, steps, members]
    sample = member.expand(-1, steps, -1).flatten()
    step = torch.arange(steps, device=samples.device).view(1, -1, 1).expand(len(member), -1, group).flatten()
    for start in range(0, len(sample), micro_batch):
        real = min(micro_batch, len(sample) - start)
        rows = torch.arange(start, start + micro_batch, device=samples.device)
        rows = torch.where(rows < len(sample), rows, start)
        yield Pairs(sample[rows], step[rows], real)
    for _ in range(math.ceil(most * steps / micro_batch) - math.ceil(len(sample) / micro_batch)):
        yield Pairs(sample[:0], step[:0], 0)


@dataclass(frozen=True)
class Update:
    """A batch of training: the samples of one optimiser step. DDP moves tensors that it is given to its device, and
    these are looked up by the host."""

    samples: LongTensor  # numbers among the kept samples of all ranks


def updates(kept: int, *, inner_epochs: int, samples_per_update: int, seed: int, stage: int,
            group: int = 1) -> list[LongTensor]:
    """Which samples each optimiser step of a stage takes: every inner epoch all of them, in an order of its own; the
    `group` samples that stand in a row stay together.

    Steps of an epoch take as many samples as each other, give or take a group: the loss is a mean, and a step on the
    one sample that is left over would weigh as much as one on all the others.

    They also take equally many from every stretch of the stage. A sample can only be trained where it was drawn, and
    each process draws a run of neighbours: dealt without regard to that, a step would wait for the one that happens to
    have most.
    """
    groups, size = kept // group, max(1, samples_per_update // group)
    steps = max(1, math.ceil(groups / size))
    orders = [keyed_permutation(groups, seed=seed, stage=stage, stream=epoch) for epoch in range(inner_epochs)]
    members = torch.arange(group)
    return [(chunk[:, None] * group + members).flatten() for order in orders for chunk in _dealt(order, steps)]


def _dealt(order: LongTensor, steps: int) -> list[LongTensor]:
    """The numbers of `order`, a permutation, in `steps` parts: of each `TURNS * steps` numbers in a row, which go to
    the parts in turn as they stand in `order`, each part has `TURNS`."""
    by_block = (order // (TURNS * steps)).argsort(stable=True)
    part = torch.empty_like(order)
    part[by_block] = torch.arange(len(order)) % steps
    return [order[part == number] for number in range(steps)]


def policy(denoise: Denoise, ddim: Ddim, kept: Kept, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """mu_theta [real, C, H, W] and log pi_theta [real] of the actions that were taken, with the gradient of theta."""
    step = kept.step_indices[pairs.step]
    before, after = (kept.trajectory[pairs.sample, pairs.step + shift] for shift in (0, 1))
    mean = ddim.mean(before, denoise(before, step, kept.prompt_index[pairs.sample]), step)
    return mean[: pairs.real], ddim.log_prob(after, mean, step)[: pairs.real]


def log_prob(denoise: Denoise, ddim: Ddim, kept: Kept, pairs: Pairs) -> Tensor:
    """log pi_theta of the actions that were taken: [real], with the gradient of theta."""
    return policy(denoise, ddim, kept, pairs)[1]


def loss_of(objective: Objective, ddim: Ddim, kept: Kept, pairs: Pairs, mean: Tensor, new: Tensor,
            step_weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of each real pair and its figures, KL to the reference included where it has a weight.

    Args:
        mean, new: what `policy` gave for the pairs.
        step_weights: [s]; a step's weight is that of its whole loss, so it multiplies the KL too.
    """
    sample, step = pairs.sample[: pairs.real], pairs.step[: pairs.real]
    weight = step_weights[step]
    given = [new, kept.old_log_probs[sample, step], kept.advantages[sample], weight]
    if objective.needs_reference:
        given.append(kept.reference_log_probs[sample, step])
    loss, stats = objective(*given)
    if objective.kl_weight:
        kl = ddim.kl(mean, kept.reference_means[sample, step], kept.step_indices[step])
        loss, stats = loss + objective.kl_weight * weight * kl, stats | {"policy/kl_reference": kl.detach().mean()}
    return loss, stats


def replayed(denoise: Denoise, ddim: Ddim, kept: Kept, parts: Sequence[LongTensor], micro_batch: int,
             progress: Callable[[int], None] | None = None, *, with_graph: bool = False,
             most: Sequence[int] | None = None) -> Kept:
    """`kept` with old log-probabilities computed again in the very micro-batches of the first pass over the samples.

    One shape is not enough: with several threads a row's rounding depends on its place in the batch too.

    Args:
        parts: the samples of each of that pass's updates; together all of them.
        most: for each part the most samples that any process has of it, where all have to call `denoise` equally often.
        with_graph: build autograd's graph and drop it, since compiled code is another one with gradients than without.
    """
    old = torch.empty_like(kept.old_log_probs)
    for samples, busiest in zip(parts, most or [0] * len(parts), strict=True):
        rows = samples.to(old.device, non_blocking=True)
        for pairs in pairs_of(rows, len(kept.step_indices), micro_batch, kept.group, busiest):
            with torch.set_grad_enabled(with_graph):
                again = log_prob(denoise, ddim, kept, pairs).detach()
            old[pairs.sample[: pairs.real], pairs.step[: pairs.real]] = again
            if progress:
                progress(pairs.real)
    return replace(kept, old_log_probs=old)
