"""Past predictions of a batch as a memory hands them out: dense, cut to the largest, or mixed from two samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import LongTensor, Tensor


class Rows(Protocol):
    """Distributions P_{t-1} of B samples over C classes."""

    def cross_entropy(self, log_probs: Tensor) -> Tensor:
        """-sum_c P(c) log_probs(c), [B] in fp32."""

    def at(self, labels: LongTensor) -> Tensor:
        """P(label), [B] in fp32."""


@dataclass(frozen=True)
class DenseRows:
    """All classes: [B, C], stored in any floating-point type."""

    values: Tensor

    def cross_entropy(self, log_probs: Tensor) -> Tensor:
        return -(self.values * log_probs).sum(1)

    def at(self, labels: LongTensor) -> Tensor:
        return self.values.gather(1, labels[:, None]).squeeze(1).float()


@dataclass(frozen=True)
class TopRows:
    """The k largest probabilities [B, k] and their classes; the other C - k classes share the rest of the mass evenly.

    The cross-entropy differs from the dense one by at most rest * (largest - smallest logit).
    """

    values: Tensor
    classes: LongTensor
    count: int  # C

    @property
    def rest(self) -> Tensor:
        """Mass outside the k classes, [B]."""
        return (1 - self.values.float().sum(1)).clamp_min(0)

    def cross_entropy(self, log_probs: Tensor) -> Tensor:
        kept = log_probs.gather(1, self.classes)
        others = log_probs.sum(1) - kept.sum(1)
        return -(self.values.float() * kept).sum(1) - self.rest / max(self.count - self.values.shape[1], 1) * others

    def at(self, labels: LongTensor) -> Tensor:
        found = self.classes == labels[:, None]
        share = self.rest / max(self.count - self.values.shape[1], 1)
        return (self.values.float() * found).sum(1) + share * ~found.any(1)


@dataclass(frozen=True)
class MixedRows:
    """Rows of two samples whose pictures were mixed, `share` of the first."""

    first: Rows
    second: Rows
    share: float

    def cross_entropy(self, log_probs: Tensor) -> Tensor:
        first, second = self.first.cross_entropy(log_probs), self.second.cross_entropy(log_probs)
        return self.share * first + (1 - self.share) * second

    def at(self, labels: LongTensor) -> Tensor:
        return self.share * self.first.at(labels) + (1 - self.share) * self.second.at(labels)
