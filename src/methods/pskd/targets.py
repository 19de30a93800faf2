"""The maths of PS-KD on one screen: Kim et al., "Self-Knowledge Distillation with Progressive Refinement of Targets".

The target of sample x at epoch t is (1 - a_t) onehot(y) + a_t P_{t-1}(x), the loss its cross-entropy with P_t(x).
Neither the one-hot vector nor the mixture is ever built.
"""

from __future__ import annotations

from torch import LongTensor, Tensor

from src.methods.pskd.rows import Rows


def alpha_at(epoch: int, epochs: int, alpha: float) -> float:
    """a_t = a_T (t + 1) / T for the 0-based epoch t (eq. 5): grows linearly and reaches a_T in the last epoch."""
    return alpha * (epoch + 1) / epochs


def hard_cross_entropy(log_probs: Tensor, labels: LongTensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy [B] with the labels, `smoothing` of the weight spread over all classes (Szegedy et al., 2016)."""
    hard = -log_probs.gather(1, labels[:, None]).squeeze(1)
    return hard if smoothing == 0 else (1 - smoothing) * hard - smoothing * log_probs.mean(1)


def refined_cross_entropy(log_probs: Tensor, hard: Tensor, past: Rows, alpha: Tensor | float) -> Tensor:
    """Loss [B] of the mixed target: cross-entropy is linear in the target, so it is the mixture of two losses."""
    return (1 - alpha) * hard + alpha * past.cross_entropy(log_probs)
