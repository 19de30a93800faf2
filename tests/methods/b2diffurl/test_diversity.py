"""The Vendi score against cases that are known in closed form, and against its definition written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from src.methods.b2diffurl.diversity import vendi_score


def one_group(features: Tensor) -> float:
    return vendi_score(features, torch.zeros(len(features), dtype=torch.long))


def test_equal_pictures_count_once_and_orthogonal_ones_each() -> None:
    assert one_group(torch.full((6, 2, 5), 3.0)) == pytest.approx(1)
    assert one_group(torch.eye(6)) == pytest.approx(6)
    assert one_group(torch.eye(3).repeat(4, 1)) == pytest.approx(3)  # three kinds, four times each
    assert one_group(torch.ones(1, 4)) == pytest.approx(1)


@pytest.mark.parametrize("angle", [0.1, 1.0, 2.5])
def test_two_pictures_at_an_angle(angle: float) -> None:
    """The eigenvalues of K / 2 are (1 + c) / 2 and (1 - c) / 2."""
    shares = [(1 + math.cos(angle)) / 2, (1 - math.cos(angle)) / 2]
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    assert one_group(torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])) == pytest.approx(expected)


def test_the_definition_written_out() -> None:
    """Singular values of the normalised features instead of eigenvalues of their cosines; groups in any order."""
    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(3).repeat(5)[torch.randperm(15, generator=generator)]
    features = torch.randn(15, 4, 2, generator=generator) + 0.5
    scores = []
    for group in range(3):
        rows = torch.stack([row.flatten() / row.norm() for row in features[groups == group].double()])
        shares = [float(value) ** 2 / 5 for value in torch.linalg.svdvals(rows)]
        scores.append(math.exp(-sum(share * math.log(share) for share in shares if share > 1e-12)))
    assert vendi_score(features, groups) == pytest.approx(sum(scores) / 3)


def test_size_does_not_count_but_likeness_does() -> None:
    features = torch.randn(4, 30, generator=torch.Generator().manual_seed(1))
    assert one_group(features * torch.tensor([[1.0], [2.0], [0.1], [50.0]])) == pytest.approx(one_group(features))
    assert one_group(features + 3) < one_group(features)
