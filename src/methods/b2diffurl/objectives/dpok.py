"""DPOK: policy gradient that is held near the pretrained policy.

Fan et al., *DPOK: Reinforcement Learning for Fine-tuning Text-to-Image Diffusion Models*, arXiv 2305.16381.
"""

from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.objectives.weighting import Weighting


class DPOK(DDPO):
    """DDPO's clipped loss plus beta * KL(pi_theta(. | x_t) || pi_ref(. | x_t)) at every step (the paper's Algorithm 1).

    The KL is that of the two Gaussians, ||mu - mu_ref||^2 / (2 sigma^2), divided by the number of latent dimensions, as
    log-probabilities are here; both terms then scale with the picture's size alike. The update computes it (`Ddim.kl`)
    and adds it for any objective whose `kl_weight` is above 0.
    """

    def __init__(
        self, *, clip_range: float = 1e-4, kl_weight: float = 0.01, weighting: Weighting = "none"
    ) -> None:
        super().__init__(clip_range=clip_range, kl_weight=kl_weight, weighting=weighting)
