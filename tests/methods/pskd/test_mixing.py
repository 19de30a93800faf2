"""Mixup and CutMix: what is mixed, by how much, and that all ranks and resumed runs decide alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.methods.pskd.mixing import box, mixed

IMAGES = torch.arange(6 * 3 * 8 * 8, dtype=torch.float32).reshape(6, 3, 8, 8)


@pytest.mark.parametrize("key", [(0, 0, number) for number in range(8)])
def test_cutmix_takes_the_share_that_it_says(key) -> None:
    found, mix = mixed(IMAGES, "cutmix", 1.0, 1.0, key)
    own, other = found == IMAGES, found == IMAGES.flip(0)
    assert (own | other).all()
    assert float(own[:, 0].float().mean((1, 2))[0]) == pytest.approx(mix.share)
    assert own.float().mean((1, 2, 3)).unique().numel() == 1  # the same box in every picture


def test_mixup_is_the_weighted_sum() -> None:
    found, mix = mixed(IMAGES, "mixup", 1.0, 1.0, (1, 2, 3))
    torch.testing.assert_close(found, mix.share * IMAGES + (1 - mix.share) * IMAGES.flip(0))


def test_none_and_probability_zero_leave_the_pictures() -> None:
    for kind, probability in (("none", 1.0), ("cutmix", 0.0)):
        found, mix = mixed(IMAGES, kind, 1.0, probability, (0, 0, 0))
        assert mix is None
        assert found is IMAGES


def test_the_probability_is_kept_and_the_decision_depends_on_the_key_alone() -> None:
    decided = [mixed(IMAGES, "mixup", 1.0, 0.3, (0, 5, number))[1] for number in range(1000)]
    assert 0.25 < np.mean([mix is not None for mix in decided]) < 0.35
    assert decided[:50] == [mixed(IMAGES, "mixup", 1.0, 0.3, (0, 5, number))[1] for number in range(50)]
    shares = [mix.share for mix in decided if mix]
    assert len(set(shares)) == len(shares)


def test_the_box_is_as_large_as_asked_unless_the_edge_cuts_it() -> None:
    random = np.random.default_rng(0)
    areas = [(bottom - top) * (right - left) / 32**2
             for top, bottom, left, right in (box(32, 32, 0.75, random) for _ in range(500))]
    assert max(areas) == pytest.approx(0.25)
    assert min(areas) > 0
