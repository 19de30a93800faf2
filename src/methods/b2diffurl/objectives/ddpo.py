"""DDPO: policy gradient with importance sampling and PPO's clip.

Black et al., *Training Diffusion Models with Reinforcement Learning*, arXiv 2305.13301; PPO: arXiv 1707.06347.
"""

from typing import Literal

import torch
from torch import Tensor


class DDPO:
    """max(-A r, -A clip(r, 1 - eps, 1 + eps)) with r = (pi_theta / pi_old)^w, for each (sample, step) pair.

    Log-probabilities are averages over latent dimensions, so ratios differ from 1 by 1e-4 to 1e-3: B2's clip range of
    0.1 practically never binds, DDPO's own 1e-4 does.
    """

    needs_reference: bool = False  # whether the pretrained policy's log-probabilities are wanted too

    def __init__(self, *, clip_range: float = 0.1, weighting: Literal["none", "sigma"] = "none") -> None:
        self.clip_range = clip_range
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
            loss [B], and detached 0-d statistics of the batch; `approx_kl` is half the mean squared log-ratio, before
            weighting and per latent dimension.
        """
        log_ratio = log_prob - old_log_prob
        ratio = (log_ratio if weight is None else weight * log_ratio).exp()
        clipped = ratio.clamp(1 - self.clip_range, 1 + self.clip_range)
        loss = torch.maximum(-advantage * ratio, -advantage * clipped)
        return loss, self._statistics(log_ratio.detach(), ratio.detach())

    def _statistics(self, log_ratio: Tensor, ratio: Tensor) -> dict[str, Tensor]:
        deviation = (ratio - 1).abs()
        return {
            "policy/ratio_mean": ratio.mean(),
            "policy/ratio_max_dev": deviation.max(),
            "policy/clip_frac": (deviation > self.clip_range).float().mean(),
            "policy/approx_kl": 0.5 * log_ratio.square().mean(),
        }
