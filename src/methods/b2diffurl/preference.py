"""Couples for preference objectives: the best and the worst branch of a trunk, side by side.

The two share the latent that they split from, so they differ only in the actions of the trained interval.
"""

import torch
from torch import LongTensor, Tensor

from src.methods.b2diffurl.selection import by_trunk

COUPLE = 2
_TIE = 1e-6  # z-scores nearer than this differ by the rewards' rounding only


def couples(z: Tensor, trunks: LongTensor, chosen: LongTensor) -> LongTensor:
    """Winner and loser of each trunk that has both among its chosen samples: int64 [2P], winner first.

    Args:
        z: [M], one z-score per sample; trunks: int64 [M]; chosen: indices into z that a selection kept. With the
            reference's thresholds a couple is thereby one good and one bad branch, with `best_worst` it is any two
            that differ.

    A trunk whose chosen samples tie gives no couple.
    """
    order = by_trunk(trunks)  # [N, K]
    scores = z[order]
    kept = torch.zeros_like(z, dtype=torch.bool).index_fill(0, chosen, True)[order]
    best = scores.masked_fill(~kept, -torch.inf).max(1)
    worst = scores.masked_fill(~kept, torch.inf).min(1)
    both = torch.stack([best.indices, worst.indices], 1)
    return order.gather(1, both)[best.values - worst.values > _TIE].flatten()
