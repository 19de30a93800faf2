"""BERTScore (Zhang et al., arXiv 1904.09675), equations 1 to 4: maths alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


class Sentences(NamedTuple):
    """Token embeddings of sentences, padded to one length."""

    embeddings: Tensor  # [B, L, D]
    tokens: Tensor  # [B, L] bool: a token, not padding; every token may be matched
    words: Tensor  # [B, L] bool: a token that counts, so neither the first nor the last special one


class Scores(NamedTuple):
    """Precision, recall and F1, [B] each."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def bertscore(candidate: Sentences, reference: Sentences) -> Scores:
    """Greedy matching by cosine without idf weights, as the authors' package computes it; 0 for an empty sentence.

    Precision: each of the candidate's words against its best token of the reference; recall the other way.
    """
    cosine = normalize(candidate.embeddings, dim=-1) @ normalize(reference.embeddings, dim=-1).transpose(1, 2)
    allowed = candidate.tokens[:, :, None] & reference.tokens[:, None, :]
    cosine = cosine.masked_fill(~allowed, -1.0)
    full = candidate.words.any(1) & reference.words.any(1)
    precision = _mean(cosine.amax(2), candidate.words) * full
    recall = _mean(cosine.amax(1), reference.words) * full
    both = precision + recall
    f1 = torch.where(both.abs() > 1e-12, 2 * precision * recall / both.where(both.abs() > 1e-12, 1.0), 0.0)
    return Scores(precision, recall, f1)


def rescaled(score: Tensor, baseline: float) -> Tensor:
    """(score - baseline) / (1 - baseline), so that unrelated sentences score about 0 and equal ones 1."""
    return (score - baseline) / (1 - baseline)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)
