"""The maths of the metrics: pure functions on tensors, no loop over samples.

Confidence is the largest softmax probability, computed in fp32; everything added up over samples is added up in fp64.
Why the sums are written out and not handed to torchmetrics: its calibration error has bins [lo, hi) and fp32 sums, its
top-k accuracy breaks ties in an order that depends on the device, and it has neither a multiclass Brier score nor AURC.
Where the conventions agree, the tests use it as an oracle.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class PerSample(NamedTuple):
    """What all figures are made of, one number per sample, all of shape [B]."""

    confidence: Tensor  # fp32, largest softmax probability
    nll: Tensor  # fp32, nats
    brier: Tensor  # fp32, 0 to 2
    rank: Tensor  # int64, place of the true class among the logits; 0 = predicted
    predicted: Tensor  # int64


class Bins(NamedTuple):
    """A reliability diagram's bars, each of shape [bins]; empty bins have confidence and accuracy 0."""

    count: Tensor  # int64
    confidence: Tensor  # fp64, mean over the bin
    accuracy: Tensor  # fp64


def per_sample(logits: Tensor, labels: Tensor) -> PerSample:
    """Logits [B, C] of any float type and labels [B]; a row with a NaN has confidence NaN."""
    logits = logits.float()  # bf16 has 8 bits: probabilities must not be rounded to that
    confidence, predicted = logits.softmax(dim=1).max(dim=1).values, logits.argmax(dim=1)
    return PerSample(confidence, nll(logits, labels), brier(logits, labels), label_rank(logits, labels), predicted)


def nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of each sample in nats, fp32 [B]."""
    return F.cross_entropy(logits.float(), labels, reduction="none")


def brier(logits: Tensor, labels: Tensor) -> Tensor:
    """Brier score of each sample, fp32 [B]: squared distance of softmax and one-hot label, summed over classes."""
    distance = logits.float().softmax(dim=1)
    minus_one = torch.full_like(distance[:, :1], -1.0)
    return distance.scatter_add(1, labels[:, None], minus_one).square().sum(dim=1)


def label_rank(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the true one, int64 [B]. Of equal logits the class with the smaller number comes
    first, as in ``argmax``, so that rank 0 and "predicted" are one thing however many ties bf16 makes."""
    own = logits.gather(1, labels[:, None])
    smaller = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & smaller)).sum(dim=1)


def top_k_error(rank: Tensor, k: int) -> Tensor:
    """Percent of samples whose true class is not among the first ``k``; ``rank`` is that of ``label_rank``.

    With fewer than ``k`` classes it is among all of them, and the error 0.
    """
    return 100 * (rank >= k).double().mean()


def reliability_bins(confidence: Tensor, correct: Tensor, bins: int) -> Bins:
    """``bins`` equal bins (lo, hi] of confidence over [0, 1]; a confidence of exactly 0 belongs to the first."""
    # k / bins rounded once: the number that prints as 0.3 is then the upper end of its bin, not beyond it.
    ends = (torch.arange(1, bins, dtype=torch.float64, device=confidence.device) / bins).to(confidence.dtype)
    which = torch.bucketize(confidence.contiguous(), ends)
    count = torch.bincount(which, minlength=bins)
    zeros = torch.zeros(bins, dtype=torch.float64, device=confidence.device)
    size = count.clamp(min=1)
    return Bins(count, zeros.index_add(0, which, confidence.double()) / size,
                zeros.index_add(0, which, correct.double()) / size)


def ece(confidence: Tensor, correct: Tensor, bins: int = 10) -> Tensor:
    """Expected calibration error in percent: |accuracy - mean confidence| of each bin, weighted by its count.

    10 bins are the paper's preset, 15 the usual one (Guo et al. 2017).
    """
    bars = reliability_bins(confidence, correct, bins)
    return 100 * ((bars.accuracy - bars.confidence).abs() * bars.count).sum() / bars.count.sum()


def risk_coverage(confidence: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
    """Coverage k / n and risk, fp64 [n] each: the share of errors among the k samples of highest confidence, k = 1..n.

    Samples of equal confidence have no order: the risk is its expectation over all their orders, in which the errors
    of a group of m samples are spread evenly over its m places.
    """
    confidence, order = confidence.sort(descending=True, stable=True)
    wrong = 1 - correct[order].double()
    _, group, size = torch.unique_consecutive(confidence, return_inverse=True, return_counts=True)
    errors = torch.zeros(len(size), dtype=torch.float64, device=wrong.device).index_add(0, group, wrong)
    place = torch.arange(1, len(wrong) + 1, dtype=torch.float64, device=wrong.device)
    share = (place - (size.cumsum(0) - size)[group]) / size[group]  # of the group's places up to this one
    expected = (errors.cumsum(0) - errors)[group] + errors[group] * share
    return place / len(wrong), expected / place


def aurc(confidence: Tensor, correct: Tensor) -> Tensor:
    """Area under the risk-coverage curve x 1000: the mean of the risk over all coverages (Geifman et al. 2019)."""
    return 1000 * risk_coverage(confidence, correct)[1].mean()


def optimal_aurc(samples: int, errors: int) -> float:
    """The AURC x 1000 of a confidence that ranks all errors last: (1/n) sum_{i=1..e} i / (n - e + i)."""
    i = torch.arange(1, errors + 1, dtype=torch.float64)
    return 1000 * (i / (samples - errors + i)).sum().item() / samples


def eaurc(confidence: Tensor, correct: Tensor) -> Tensor:
    """Excess AURC x 1000: how far the ranking is from the best that this number of errors allows."""
    return aurc(confidence, correct) - optimal_aurc(len(correct), int((~correct.bool()).sum()))
