"""The order of an epoch: every candidate once, padding last, the same samples for any number of processes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from src.core.errors import UserError
from src.data.images.order import deal, epoch_order, partners

LABELS = torch.tensor([0, 1, 2, 0, 1, 0, 0] * 20)[:137]
CANDIDATES = torch.arange(137)[LABELS.cumsum(0) % 5 != 0]


def orders(world: int, batch_size: int, **options):
    """Of all processes; `batch_size` is the total."""
    return [epoch_order(CANDIDATES, labels=LABELS, batch_size=batch_size, seed=3, epoch=5, rank=rank, world=world,
                        **options) for rank in range(world)]


@pytest.mark.parametrize(("world", "batch_size"), [(1, 8), (1, 7), (1, 37), (2, 16), (2, 10), (3, 21), (8, 72)])
def test_every_candidate_exactly_once_and_padding_last(world: int, batch_size: int) -> None:
    seen: Counter[int] = Counter()
    shares = orders(world, batch_size)
    for number in range(len(shares[0])):
        real = 0
        for order in shares:
            rows, count = order.rows(number), order.real[number]
            assert 2 <= len(rows) == order.sizes[number] == shares[0].sizes[number]
            seen.update(rows[:count].tolist())
            if count:  # padding repeats the first row
                assert (rows[count:] == rows[0]).all()
            if number < len(order) - 1:
                assert count == order.sizes[number] == batch_size // world
                assert torch.equal(order.index[order.start(number):][:count], rows)
            real += count
        assert [order.total[number] for order in shares] == [real] * world
    assert seen == Counter(CANDIDATES.tolist())
    assert all(len(order.index) == sum(order.sizes) for order in shares)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_the_batches_of_one(world: int) -> None:
    alone, shares = orders(1, 12)[0], orders(world, 12)
    for number in range(len(alone)):
        together = torch.cat([order.rows(number)[:order.real[number]] for order in shares])
        assert torch.equal(together, alone.rows(number))


def test_depends_on_seed_and_epoch_alone() -> None:
    def of(seed: int, epoch: int) -> torch.Tensor:
        return epoch_order(CANDIDATES, labels=LABELS, batch_size=8, seed=seed, epoch=epoch).index

    torch.manual_seed(0)
    first = of(0, 0)
    torch.manual_seed(1)
    assert torch.equal(first, of(0, 0))
    assert not torch.equal(first, of(0, 1)) and not torch.equal(first, of(1, 0))


def test_a_process_without_rows_gets_padding_only() -> None:
    shares = [deal(torch.arange(9), batch_size=2, rank=rank, world=4) for rank in range(4)]
    assert [order.real for order in shares] == [[2, 0], [2, 0], [2, 0], [2, 1]]
    assert [order.rows(1).tolist() for order in shares] == [[8]] * 4 and shares[0].total == [8, 1]


def test_partners_are_others_of_the_class() -> None:
    shares = orders(2, 16, paired=True)
    seen = set()
    for order in shares:
        assert order.partner.shape == order.index.shape
        assert (LABELS[order.partner] == LABELS[order.index]).all() and (order.partner != order.index).all()
        assert set(order.partner.tolist()) <= set(CANDIDATES.tolist())
        size = order.sizes[0]
        assert torch.equal(order.rows(0), torch.cat([order.index[:size], order.partner[:size]]))
        seen |= set(order.partner.tolist())
    plain = orders(2, 16)
    assert all(torch.equal(a.index, b.index) for a, b in zip(shares, plain, strict=True)) and len(seen) > 40


def test_partners_have_equal_chances_and_loners_themselves() -> None:
    labels = torch.tensor([1, 1, 0, 1, 1])
    chance = torch.Generator().manual_seed(0)
    drawn = torch.stack([partners(torch.arange(5), labels, chance) for _ in range(3000)])
    assert (drawn[:, 2] == 2).all()
    for sample in (0, 1, 3, 4):
        counts = drawn[:, sample].bincount(minlength=5)
        assert counts[sample] == counts[2] == 0 and (counts[counts > 0] - 1000).abs().max() < 120


def test_fewer_samples_than_a_batch() -> None:
    assert len(CANDIDATES) == 112
    with pytest.raises(UserError, match=r"batch_size=114: there are only 112 pictures.* 112 or less"):
        orders(2, 114)
    with pytest.raises(UserError, match=r"batch_size=114: there are only 112 pictures.* 111 or less"):
        orders(3, 114)


@pytest.mark.parametrize(("world", "batch_size", "fits"), [
    (3, 16, "15 or 18"), (2, 7, "6 or 8"), (8, 8, "16"), (4, 6, "8"), (5, 11, "10 or 15"),
])
def test_a_batch_that_the_processes_cannot_share_equally(world: int, batch_size: int, fits: str) -> None:
    with pytest.raises(UserError, match=rf"batch_size={batch_size} on {world} devices: .* Set it to {fits}$"):
        orders(world, batch_size)
    for size in map(int, fits.split(" or ")):
        assert orders(world, size)[0].sizes[0] == size // world


def test_an_empty_split_has_no_batches() -> None:
    assert len(deal(torch.arange(0), batch_size=4)) == 0
