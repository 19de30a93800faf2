"""The keyed generator against published vectors, the normal distribution, and itself in other batches."""

import math

import pytest
import torch

from src.methods.b2diffurl.noise import keyed_normal, keyed_permutation, keyed_uniform_int, philox

SHAPE = (4, 8, 8)


def draw(slots=(0,), branches=(0,), step=0, stage=0, seed=0, shape=SHAPE):
    return keyed_normal(
        shape, seed=seed, stage=stage, slots=torch.tensor(slots), branches=torch.tensor(branches), step=step
    )


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_the_generators_authors(counter, key, expected):
    words = philox(tuple(torch.tensor([word]) for word in counter), key)
    assert tuple(int(word) for word in words) == expected


def test_moments_and_ks_distance_of_a_normal():
    sample = draw(range(400), [0] * 400).flatten().double()
    assert sample.isfinite().all()
    count = sample.numel()
    assert abs(sample.mean()) < 4 / math.sqrt(count)
    assert abs(sample.var() - 1) < 4 * math.sqrt(2 / count)
    assert abs((sample**3).mean()) < 4 * math.sqrt(15 / count)
    assert abs((sample**4).mean() - 3) < 4 * math.sqrt(96 / count)
    cdf = torch.distributions.Normal(0.0, 1.0).cdf(sample.sort().values)
    ranks = torch.arange(count + 1) / count
    distance = torch.maximum((cdf - ranks[:-1]).max(), (ranks[1:] - cdf).max())
    assert distance < 1.63 / math.sqrt(count)  # Kolmogorov-Smirnov at 1 %


def test_every_part_of_the_key_gives_independent_noise():
    shape = (20_000,)
    rows = [draw(shape=shape)]
    rows += [draw(slots=(slot,), shape=shape) for slot in (1, 2, 1 << 20)]
    rows += [draw(branches=(branch,), shape=shape) for branch in (-1, 1, 2)]
    rows += [draw(step=step, shape=shape) for step in (-1, 1, 19)]
    rows += [draw(stage=stage, shape=shape) for stage in (-1, 1, 99)]
    rows += [draw(seed=seed, shape=shape) for seed in (1, 2, 1 << 32)]
    correlation = torch.corrcoef(torch.cat(rows)) - torch.eye(len(rows))
    assert correlation.abs().max() < 5 / math.sqrt(20_000)


def test_the_same_key_gives_unrelated_numbers_for_each_purpose():
    """One counter (0, 0, 0, 0): an initial noise's first word, the first integer and the first key of an order."""
    key = {"seed": 3, "stage": 0}
    integers = keyed_uniform_int(2**31, 50, **key)
    assert not torch.equal(keyed_permutation(50, **key), integers.argsort())
    first = draw(slots=(0,), branches=(-1,), step=-1, seed=3, shape=(4,))[0, :2]  # Box and Muller: r^2 = -2 ln u
    assert (-first.square().sum() / 2).exp().item() != pytest.approx(integers[0].item() / 2**31, rel=1e-3)


def test_neighbouring_elements_are_independent():
    row = draw(shape=(40_000,)).flatten()
    for lag in (1, 2, 3, 4, 8):
        assert abs((row[lag:] * row[:-lag]).mean()) < 4 / math.sqrt(40_000)


@pytest.mark.parametrize("shape", [(4, 8, 8), (3, 5, 7), (1,)])
def test_trap_8_a_row_is_the_same_in_any_batch(shape):
    slots, branches = [slot for slot in range(13) for _ in range(3)], [0, 1, 2] * 13
    together = draw(slots, branches, step=3, stage=2, seed=7, shape=shape)
    order = torch.randperm(39, generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = draw([slots[i] for i in order], [branches[i] for i in order], step=3, stage=2, seed=7, shape=shape)
    assert torch.equal(shuffled, together[order])
    for row in range(39):
        alone = draw([slots[row]], [branches[row]], step=3, stage=2, seed=7, shape=shape)
        assert torch.equal(alone[0], together[row])


def test_shape_and_dtype():
    noise = draw([1, 2, 3], [0, 0, 0], shape=(3, 5, 7))
    assert noise.shape == (3, 3, 5, 7) and noise.dtype == torch.float32


def test_integers_are_uniform_and_do_not_depend_on_the_count():
    numbers = keyed_uniform_int(7, 70_000, seed=3, stage=5)
    counts = torch.bincount(numbers, minlength=7)
    assert len(counts) == 7
    assert (((counts - 10_000) ** 2) / 10_000).sum() < 22.5  # chi-squared, 6 degrees of freedom, 0.1 %
    assert torch.equal(keyed_uniform_int(7, 50, seed=3, stage=5), numbers[:50])
    assert not torch.equal(keyed_uniform_int(7, 50, seed=3, stage=6), numbers[:50])
    assert not torch.equal(keyed_uniform_int(7, 50, seed=3, stage=5, stream=1), numbers[:50])


def test_permutations_are_complete_repeatable_and_uniform():
    order = keyed_permutation(1000, seed=1, stage=2)
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert torch.equal(order, keyed_permutation(1000, seed=1, stage=2))
    assert not torch.equal(order, keyed_permutation(1000, seed=1, stage=2, stream=1))
    firsts = torch.stack([keyed_permutation(3, seed=1, stage=stage) for stage in range(600)])
    codes = firsts @ torch.tensor([9, 3, 1])
    counts = codes.unique(return_counts=True)[1]
    assert len(counts) == 6 and (((counts - 100.0) ** 2) / 100).sum() < 20.5  # 5 degrees of freedom, 0.1 %
