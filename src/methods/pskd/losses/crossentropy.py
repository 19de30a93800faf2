"""Cross-entropy, with or without label smoothing, and the control that tells softening from smaller steps."""

from __future__ import annotations

from torch import Tensor, nn

from src.methods.pskd.losses.base import Loss
from src.methods.pskd.step import Step
from src.methods.pskd.targets import alpha_at


class CrossEntropy(Loss):
    """Plain, or with label smoothing."""


class ScaledCrossEntropy(Loss):
    """(1 - a_t) cross-entropy: PS-KD without its soft part.

    What PS-KD gains over this arm comes from the past predictions; what this arm gains over cross-entropy comes from
    the smaller effective learning rate.
    """

    def __init__(self, *, alpha: float, smoothing: float = 0.0) -> None:
        super().__init__(smoothing=smoothing)
        self.alpha = alpha
        self.name = f"cross-entropy x (1 - a_t), a_t to {alpha}"

    def begin_epoch(self, epoch: int) -> None:
        self.weight = 1 - alpha_at(epoch, self.context.epochs, self.alpha)

    def __call__(self, network: nn.Module, step: Step) -> tuple[Tensor, Tensor]:
        losses, logits = super().__call__(network, step)
        return self.weight * losses, logits

    def end_epoch(self) -> dict[str, float]:
        return {"pskd/alpha": 1 - self.weight}
