"""GRPO: the advantage of a sample is how it did among its group; here the group is the branches of one trunk.

Shao et al., *DeepSeekMath*, arXiv 2402.03300, eq. 3; for denoising steps: Liu et al., *Flow-GRPO*, arXiv 2505.05470.
"""

from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.objectives.weighting import Weighting


class GRPO(DDPO):
    """PPO's clipped loss on A_i = (r_i - mean(r)) / std(r) over all branches of a trunk, plus beta * KL to the
    reference: the exact KL of two Gaussians, where language models take an estimate.

    Whom an advantage compares is the method's choice, not the loss's: conf/choice/grpo.yaml sets `normaliser: trunk`
    and `selection: all`.
    """

    def __init__(
        self, *, clip_range: float = 1e-4, kl_weight: float = 0.04, weighting: Weighting = "none"
    ) -> None:
        super().__init__(clip_range=clip_range, kl_weight=kl_weight, weighting=weighting)
