"""DDPO: policy gradient with importance sampling and PPO's clip.

Black et al., *Training Diffusion Models with Reinforcement Learning*, arXiv 2305.13301; PPO: arXiv 1707.06347.
"""

import torch
from torch import Tensor

from src.methods.b2diffurl.objectives.base import Objective, ratio_statistics, weighted
from src.methods.b2diffurl.objectives.weighting import Weighting


class DDPO(Objective):
    """max(-A r, -A clip(r, 1 - eps, 1 + eps)) with r = (pi_theta / pi_old)^w, for each (sample, step) pair.

    Log-probabilities are averages over latent dimensions, so ratios differ from 1 by 1e-4 to 1e-3: B2's clip range of
    0.1 practically never binds, DDPO's own 1e-4 does.
    """

    def __init__(
        self, *, clip_range: float = 0.1, kl_weight: float = 0.0, weighting: Weighting = "none"
    ) -> None:
        self.clip_range = clip_range
        self.kl_weight = kl_weight
        self.weighting = weighting

    def __call__(
        self, log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each pair, to be minimised.

        Args:
            log_prob: [B] of the policy, with its gradient; old_log_prob: [B] at rollout.
            advantage: [B].
            weight: [B] the pairs' entries of `step_weights`; None: ones.

        Returns:
            loss [B], and detached 0-d statistics of the batch.
        """
        log_ratio = log_prob - old_log_prob
        ratio = weighted(log_ratio, weight).exp()
        clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
        loss = torch.maximum(-advantage * ratio, -advantage * clipped)
        outside = (ratio.detach() - 1).abs() > self.clip_range
        return loss, ratio_statistics(log_ratio, ratio) | {"policy/clip_frac": outside.float().mean()}
