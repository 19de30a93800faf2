"""How much each denoising step counts in an update."""

from typing import Literal

import torch
from torch import Tensor

Weighting = Literal["none", "sigma"]


def step_weights(sigma: Tensor, weighting: Weighting = "none") -> Tensor:
    """Weights of the trained steps; their mean is 1, so the learning rate keeps its meaning as the interval grows.

    With x = mu_old + sigma z, the averaged log-probability's gradient is d log p / d mu = z / (sigma D) for D latent
    dimensions: it grows as 1 / sigma, which at eta 1 falls from about 0.64 to 0.02, so the last steps dominate an
    unweighted update. A weight proportional to sigma gives every step a gradient of z / D in mu, times one constant.

    Args:
        sigma: [s] of the interval's usable steps (all > 0), not of a micro-batch: a pair's weight must not depend on
            the company it is drawn in.
        weighting: `none` (reference): ones. `sigma`: sigma / mean(sigma).

    Returns:
        [s], multiplied onto the log-ratio of each step.
    """
    return sigma / sigma.mean() if weighting == "sigma" else torch.ones_like(sigma)
