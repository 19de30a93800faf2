"""Couples of siblings: who is chosen, and that winner and loser stay side by side down to the micro-batch."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from diffusers import DDIMScheduler

from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.preference import couples
from src.methods.b2diffurl.reference import with_reference
from src.methods.b2diffurl.selection import select
from src.methods.b2diffurl.update import Kept, pairs_of, replayed, updates

ALL = torch.arange(8)
Z = torch.tensor([0.1, 2.0, -1.0, 0.6, -0.2, -0.9, 0.7, 0.7], dtype=torch.float64)
TRUNKS = torch.tensor([5, 7, 5, 7, 9, 9, 1, 1])


def test_the_best_and_the_worst_of_a_trunk_and_nothing_of_one_that_ties() -> None:
    assert couples(Z, TRUNKS, ALL).view(-1, 2).tolist() == [[0, 2], [1, 3], [4, 5]]
    rounded = Z + torch.arange(8) * 1e-8  # as equal rewards differ after a normalisation
    assert torch.equal(couples(rounded, TRUNKS, ALL), couples(Z, TRUNKS, ALL))


def test_only_chosen_samples_pair_up() -> None:
    assert couples(Z, TRUNKS, torch.tensor([0, 1, 3, 5])).tolist() == [1, 3]
    assert couples(Z, TRUNKS, torch.empty(0, dtype=torch.long)).tolist() == []
    z = torch.tensor([0.9, 0.3, -0.7, 0.9, 0.3, -0.4])
    trunks = torch.tensor([0, 0, 0, 1, 1, 1])
    assert couples(z, trunks, select(z, trunks)[0]).tolist() == [0, 2]  # the second trunk's worst is not bad enough


def test_a_loop_over_trunks_agrees() -> None:
    z = torch.randn(60, generator=torch.Generator().manual_seed(0)).double()
    trunks = torch.arange(12).repeat(5)
    expected = []
    for trunk in range(12):
        members = sorted((trunks == trunk).nonzero().flatten().tolist(), key=lambda i: z[i].item())
        expected += [members[-1], members[0]]
    assert couples(z, trunks, torch.arange(60)).tolist() == expected


@pytest.mark.parametrize("micro_batch", [2, 4, 10, 64])
def test_winner_and_loser_meet_at_every_step_in_one_micro_batch(micro_batch: int) -> None:
    samples, found = torch.tensor([6, 7, 2, 3, 0, 1]), []
    for pairs in pairs_of(samples, 3, micro_batch, 2):
        assert len(pairs.sample) == micro_batch and pairs.real % 2 == 0
        winner, loser = (pairs.sample[k : pairs.real : 2] for k in (0, 1))
        assert (winner + 1 == loser).all()
        found += zip(pairs.sample[: pairs.real].tolist(), pairs.step[: pairs.real].tolist(), strict=True)
    assert found == [(first + k, step) for first in (6, 2, 0) for step in range(3) for k in (0, 1)]


def test_couples_stay_side_by_side_in_a_replay_and_before_the_reference() -> None:
    ddim = Ddim.from_scheduler(DDIMScheduler(set_alpha_to_one=False, steps_offset=1, clip_sample=False), 3)
    kept = Kept(torch.zeros(4, 4, 1, 1, 1), torch.zeros(4, 3), torch.zeros(4), torch.arange(4), torch.arange(3), 2)
    seen: list[list[int]] = []

    def denoise(latents, step, prompt_index):
        seen.append(prompt_index.tolist())
        return latents

    replayed(denoise, ddim, kept, [torch.tensor([2, 3, 0, 1])], 4)
    with_reference(nullcontext(), denoise, ddim, kept, [torch.tensor([2, 3, 0, 1])], 4, means=False)
    assert seen == [[2, 3, 2, 3], [2, 3, 0, 1], [0, 1, 0, 1]] * 2


def test_updates_keep_couples_together_and_size_counts_samples() -> None:
    key = {"inner_epochs": 2, "samples_per_update": 8, "seed": 1, "stage": 2}
    plan = updates(20, **key, group=2)
    assert [len(part) for part in plan] == [8, 6, 6] * 2
    for part in plan:
        assert (part[0::2] % 2 == 0).all() and (part[0::2] + 1 == part[1::2]).all()
    assert sorted(torch.cat(plan[:3]).tolist()) == list(range(20))
    assert not torch.equal(torch.cat(plan[:3]), torch.cat(plan[3:]))
