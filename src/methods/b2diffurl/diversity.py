"""How different pictures are, from features or class probabilities; the networks that give them are in measures/."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import LongTensor, Tensor


def vendi_score(features: Tensor, groups: LongTensor) -> float:
    """The effective number of different members of a group, mean over groups: from 1 (all alike) to the group's size.

    exp of the Shannon entropy of the eigenvalues of K / n, where K [n, n] holds the cosines of the group's features
    (Friedman & Dieng, *The Vendi Score*, TMLR 2023, definition 3.1). It grows with n, so only groups of one size
    compare.

    Args:
        features: [B, ...], none of them 0.
        groups: int64 [B]; every group needs the same number of members.
    """
    order = groups.argsort(stable=True)
    count = int((groups == groups[0]).sum())
    families = torch.nn.functional.normalize(features.flatten(1)[order].double(), dim=1)
    families = families.reshape(-1, count, features[0].numel())
    shares = torch.linalg.eigvalsh(families @ families.mT / count).clamp(min=0)  # rounding gives -1e-17
    return torch.special.entr(shares).sum(1).exp().mean().item()


def pairwise_distance(features: Tensor, groups: LongTensor) -> float:
    """Mean Euclidean distance of two members of the same group, per root of the feature dimension.

    Features [B, ...] may be latents: then 0 means identical pictures, and independent standard normal latents give
    about sqrt(2). Every group needs the same number of members, at least 2.
    """
    order = groups.argsort(stable=True)
    count = int((groups == groups[0]).sum())
    families = features.flatten(1)[order].float().reshape(-1, count, features[0].numel())
    # Not by matrix products, which cdist takes for large families: their rounding makes equal pictures differ.
    pairs = torch.cdist(families, families, compute_mode="donot_use_mm_for_euclid_dist")
    distance = pairs.sum((1, 2)) / (count * (count - 1))
    return (distance.mean() / features[0].numel() ** 0.5).item()


def mean_square_distance(families: Tensor) -> Tensor:
    """Mean of ||a - b||^2 over the pairs of different members of each family: [..., n, D] to [...], n at least 2.

    Twice the unbiased variance, hence without pairs: time and memory grow with n, not with its square.
    """
    return 2 * families.var(dim=-2, correction=1).sum(-1)


def cosine_distance(families: Tensor) -> Tensor:
    """Mean of 1 - cosine over the pairs of different members of each family: [..., n, D], none of them 0, to [...].

    Of unit vectors ||a - b||^2 = 2 (1 - cosine).
    """
    return mean_square_distance(torch.nn.functional.normalize(families.double(), dim=-1)) / 2


def perceptual_distance(layers: Sequence[Tensor], weights: Sequence[Tensor | None]) -> Tensor:
    """LPIPS' formula, mean over the pairs of each family: [families].

    Sum over layers of the mean over places of sum_c w_c (a_c - b_c)^2, with features of length 1 over the channels
    (Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*, CVPR 2018, equation 1).

    Args:
        layers: a network's features, [families, n, C, H, W] each.
        weights: [C] each, not negative; None stands for ones.
    """
    total = layers[0].new_zeros(len(layers[0]))
    for features, weight in zip(layers, weights, strict=True):
        unit = features / (features.square().sum(2, keepdim=True).sqrt() + 1e-8)  # LPIPS divides so
        if weight is not None:
            unit = unit * weight.sqrt()[:, None, None]
        total += mean_square_distance(unit.flatten(2)) / features[0, 0, 0].numel()
    return total


def inception_score(log_probs: Tensor) -> float:
    """exp of the mutual information of picture and class: exp(mean of KL(p(y|x) || p(y))), from 1 to min(B, K).

    Over all pictures at once. The published figures are means over ten parts of 5,000 pictures; the score grows with
    the number of pictures, so only equal numbers compare (Salimans et al., *Improved Techniques for Training GANs*,
    2016; Barratt & Sharma, *A Note on the Inception Score*, 2018).

    Args:
        log_probs: [B, K], normalised over K.
    """
    probs = log_probs.double().exp()
    return (torch.special.entr(probs.mean(0)).sum() - torch.special.entr(probs).sum(1).mean()).exp().item()
