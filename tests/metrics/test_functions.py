"""The metrics against loops that spell out the definitions, closed forms, and torchmetrics where it agrees."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from src.metrics import functions as f

SETTINGS = [(200, 7, torch.float32), (200, 100, torch.bfloat16), (63, 3, torch.float16), (1, 4, torch.float32),
            (500, 2, torch.float64)]


def drawn(n: int, classes: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that know something of the labels, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = 2 * torch.randn(n, classes, generator=generator)
    logits[torch.arange(n), labels] += 1.5
    return logits.to(dtype), labels


def outcome(n: int, seed: int = 0, levels: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Confidences (on a grid of `levels` if given) and correctness with about that probability."""
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(n, generator=generator)
    correct = torch.rand(n, generator=generator) < confidence
    return (confidence if levels is None else (confidence * levels).round() / levels), correct


def looped_ece(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    total = 0.0
    for b in range(bins):
        low, high = confidence.dtype.type(b / bins), confidence.dtype.type((b + 1) / bins)
        chosen = [i for i in range(len(confidence))
                  if low < confidence[i] <= high or (b == 0 and confidence[i] == 0)]
        if chosen:
            accuracy = sum(float(correct[i]) for i in chosen) / len(chosen)
            mean = sum(float(confidence[i]) for i in chosen) / len(chosen)
            total += len(chosen) / len(confidence) * abs(accuracy - mean)
    return 100 * total


def looped_aurc(order: np.ndarray, correct: np.ndarray) -> float:
    errors, total = 0, 0.0
    for k, row in enumerate(order, start=1):
        errors += not correct[row]
        total += errors / k
    return 1000 * total / len(order)


@pytest.mark.parametrize(("n", "classes", "dtype"), SETTINGS)
def test_per_sample_numbers_follow_their_definitions(n: int, classes: int, dtype: torch.dtype) -> None:
    logits, labels = drawn(n, classes, dtype)
    found = f.per_sample(logits, labels)
    for row, z in enumerate(logits.float().numpy().astype(np.float64)):
        p, y = np.exp(z - z.max()) / np.exp(z - z.max()).sum(), int(labels[row])
        ranked = sorted(range(classes), key=lambda c: (-z[c], c))
        assert found.nll[row].item() == pytest.approx(-math.log(p[y]), abs=1e-5)
        assert found.brier[row].item() == pytest.approx(sum((p[c] - (c == y)) ** 2 for c in range(classes)), abs=1e-6)
        assert found.confidence[row].item() == pytest.approx(p.max(), abs=1e-6)
        assert found.predicted[row].item() == ranked[0]
        assert found.rank[row].item() == ranked.index(y)
    assert found.confidence.dtype == found.nll.dtype == torch.float32


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_error_agrees_with_torchmetrics(k: int) -> None:
    logits, labels = drawn(400, 20)
    accuracy = multiclass_accuracy(logits, labels, num_classes=20, top_k=k, average="micro").item()
    assert f.top_k_error(f.label_rank(logits, labels), k).item() == pytest.approx(100 * (1 - accuracy), abs=1e-4)


def test_top_5_of_fewer_classes_is_top_of_all() -> None:
    logits, labels = drawn(50, 3)
    rank = f.label_rank(logits, labels)
    assert f.top_k_error(rank, 5).item() == 0
    assert f.top_k_error(rank, 1).item() == 100 * (logits.argmax(1) != labels).double().mean().item()


def test_equal_logits_count_once_and_in_the_order_of_argmax() -> None:
    logits, labels = torch.zeros(6, 6), torch.arange(6)
    assert f.label_rank(logits, labels).tolist() == [0, 1, 2, 3, 4, 5]
    assert f.top_k_error(f.label_rank(logits, labels), 5).item() == pytest.approx(100 / 6)
    bf16, drawn_labels = drawn(3000, 10, torch.bfloat16)
    found = f.per_sample(bf16, drawn_labels)
    assert torch.equal(found.rank == 0, found.predicted == drawn_labels)


@pytest.mark.parametrize("bins", [10, 15])
@pytest.mark.parametrize("levels", [None, 10, 15, 4])
def test_ece_follows_its_definition_also_on_the_ends_of_bins(bins: int, levels: int | None) -> None:
    confidence, correct = outcome(400, levels=levels)
    assert f.ece(confidence, correct, bins).item() == pytest.approx(
        looped_ece(confidence.numpy(), correct.numpy(), bins), abs=1e-9)


def test_ece_agrees_with_torchmetrics_away_from_the_ends() -> None:
    logits, labels = drawn(1000, 12)
    found = f.per_sample(logits, labels)
    for bins in (10, 15):
        theirs = multiclass_calibration_error(logits.softmax(1), labels, num_classes=12, n_bins=bins, norm="l1")
        assert f.ece(found.confidence, found.rank == 0, bins).item() == pytest.approx(100 * theirs.item(), abs=1e-3)


def test_confidence_of_exactly_0_and_1_and_every_end() -> None:
    ends = torch.tensor([k / 10 for k in range(11)])  # 0, then the upper end of each bin
    bars = f.reliability_bins(ends, torch.ones(11), 10)
    assert bars.count.tolist() == [2, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    for bins in (10, 15):  # the next larger number is beyond the end
        beyond = torch.nextafter(torch.tensor([k / bins for k in range(1, bins)]), torch.ones(()))
        assert f.reliability_bins(beyond, torch.ones(bins - 1), bins).count.tolist() == [0] + [1] * (bins - 1)
    assert f.ece(torch.ones(5), torch.ones(5), 10).item() == 0
    assert f.ece(torch.ones(5), torch.zeros(5), 10).item() == 100
    assert f.ece(torch.zeros(5), torch.zeros(5), 15).item() == 0
    assert f.ece(torch.zeros(5), torch.ones(5), 15).item() == 100
    assert f.reliability_bins(torch.tensor([1.0 + 1e-7]), torch.ones(1), 10).count[-1].item() == 1  # a rounded softmax


def test_empty_bins_are_zero_and_bars_are_means() -> None:
    bars = f.reliability_bins(torch.tensor([0.25, 0.3, 0.95]), torch.tensor([True, False, True]), 10)
    assert bars.count.tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 1]
    assert bars.confidence[2].item() == pytest.approx(0.275)
    assert bars.accuracy.tolist() == [0, 0, 0.5, 0, 0, 0, 0, 0, 0, 1]


def test_aurc_without_ties_follows_its_definition() -> None:
    confidence, correct = outcome(300)
    order = np.argsort(-confidence.numpy(), kind="stable")
    assert f.aurc(confidence, correct).item() == pytest.approx(looped_aurc(order, correct.numpy()), abs=1e-9)


def test_aurc_with_ties_is_the_mean_over_all_orders() -> None:
    """Four confidences in two groups: 2! * 2! orders, counted by hand as well."""
    confidence, correct = torch.tensor([0.9, 0.5, 0.9, 0.5]), torch.tensor([True, True, False, False])
    orders = [[a, 2 - a, b, 4 - b] for a in (0, 2) for b in (1, 3)]
    every = [looped_aurc(np.array(order), correct.numpy()) for order in orders]
    assert f.aurc(confidence, correct).item() == pytest.approx(np.mean(every), abs=1e-9)
    by_hand = 1000 * (0.5 / 1 + 1 / 2 + 1.5 / 3 + 2 / 4) / 4
    assert f.aurc(confidence, correct).item() == pytest.approx(by_hand, abs=1e-9)


def test_aurc_of_bf16_ties_is_the_mean_of_random_orders() -> None:
    logits, labels = drawn(2000, 10, torch.bfloat16)
    confidence = logits.float().softmax(1).bfloat16().float().max(1).values  # a few hundred distinct values
    correct = logits.argmax(1) == labels
    assert len(confidence.unique()) < 400
    wrong, generator, k = ~correct.numpy(), np.random.default_rng(0), np.arange(1, 2001)
    values = []
    for _ in range(400):
        order = np.lexsort((generator.random(2000), -confidence.numpy()))
        values.append(1000 * (np.cumsum(wrong[order]) / k).mean())
    standard_error = np.std(values) / math.sqrt(len(values))
    assert standard_error > 0
    assert abs(f.aurc(confidence, correct).item() - np.mean(values)) < 4 * standard_error


@pytest.mark.parametrize("errors", [0, 1, 40, 99, 100])
def test_all_tied_aurc_is_the_error_rate(errors: int) -> None:
    correct = torch.arange(100) >= errors
    assert f.aurc(torch.full((100,), 0.7), correct).item() == pytest.approx(10 * errors, abs=1e-9)


@pytest.mark.parametrize("errors", [0, 1, 40, 99, 100])
def test_perfect_ranking_has_the_optimal_aurc(errors: int) -> None:
    correct = torch.arange(100) >= errors
    confidence = torch.linspace(0, 1, 100)  # errors have the lowest
    optimum = 1000 * sum(i / (100 - errors + i) for i in range(1, errors + 1)) / 100
    assert f.optimal_aurc(100, errors) == pytest.approx(optimum, abs=1e-9)
    assert f.aurc(confidence, correct).item() == pytest.approx(optimum, abs=1e-9)
    assert f.eaurc(confidence, correct).item() == pytest.approx(0, abs=1e-9)
    if errors in (0, 100):
        assert optimum == 10 * errors


def test_eaurc_is_never_negative_and_order_does_not_matter() -> None:
    for seed in range(20):
        confidence, correct = outcome(64, seed, levels=8)
        order = torch.randperm(64)
        assert f.eaurc(confidence, correct).item() > -1e-9
        assert f.aurc(confidence, correct).item() == pytest.approx(f.aurc(confidence[order], correct[order]).item())


def test_risk_coverage_ends_at_the_error_rate() -> None:
    coverage, risk = f.risk_coverage(*outcome(128, levels=5))
    assert coverage[-1].item() == 1 and coverage[0].item() == 1 / 128
    assert risk[-1].item() == pytest.approx(1 - outcome(128)[1].double().mean().item())


def test_a_million_samples_of_a_calibrated_classifier() -> None:
    """Confidence u uniform on [0, 1], right with probability u: the risk at coverage c is c / 2, its mean 1 / 4."""
    confidence, correct = outcome(1_000_000)
    assert f.aurc(confidence, correct).item() == pytest.approx(250, rel=0.01)
    assert f.ece(confidence, correct, 15).item() < 0.3
