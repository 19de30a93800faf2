"""CS-KD: class-wise self-knowledge distillation (Yun et al., CVPR 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.methods.pskd.losses.base import Loss
from src.methods.pskd.step import Step


class CSKD(Loss):
    """Cross-entropy plus weight * T^2 * KL(P(x'; T) || P(x; T)), x' another picture of x's class (eq. 1 and 2).

    The partner's prediction is a constant: it costs a forward pass and no backward pass.
    """

    paired = True

    def __init__(self, *, temperature: float = 4.0, weight: float = 1.0, smoothing: float = 0.0) -> None:
        super().__init__(smoothing=smoothing)
        self.temperature, self.weight = temperature, weight
        self.name = f"CS-KD, temperature {temperature}, weight {weight}"

    def __call__(self, network: nn.Module, step: Step) -> tuple[Tensor, Tensor]:
        pictures, partners = step.images.chunk(2)
        logits = network(pictures).float()
        with torch.no_grad():
            target = (network(partners).float() / self.temperature).log_softmax(1)
        student = (logits / self.temperature).log_softmax(1)
        distance = F.kl_div(student, target, reduction="none", log_target=True).sum(1)
        losses = self.hard(logits.log_softmax(1), step) + self.weight * self.temperature**2 * distance
        return losses, logits
