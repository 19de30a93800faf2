"""How different the pictures of one prompt are; measures that need no weights.

Per-prompt LPIPS and the Inception Score need networks of their own (AlexNet with LPIPS' linear heads, Inception v3).
"""

from __future__ import annotations

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
