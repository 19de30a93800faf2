"""What every loss offers to the training. Its state, such as past predictions, is checkpointed."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from src.methods.pskd.step import Context, Step
from src.methods.pskd.targets import hard_cross_entropy


class Loss:
    """Cross-entropy; subclasses add to it. Not an nn.Module: DDP would broadcast its buffers at every forward."""

    name = "cross-entropy"
    paired = False  # whether a batch carries another picture of the same class for each of its pictures

    def __init__(self, *, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing

    def begin(self, context: Context) -> None:
        """Once, when data and network are there and before a checkpoint's state is loaded."""
        self.context = context

    def begin_epoch(self, epoch: int) -> None:
        """Before the first batch of the 0-based epoch."""

    def __call__(self, network: nn.Module, step: Step) -> tuple[Tensor, Tensor]:
        """Loss [B] of each sample, and the logits [B, C]."""
        logits = network(step.images)
        return self.hard(logits.float().log_softmax(1), step), logits

    def hard(self, log_probs: Tensor, step: Step) -> Tensor:
        """Cross-entropy [B] with the labels, or with both labels of a mixed picture."""
        own = hard_cross_entropy(log_probs, step.labels, self.smoothing)
        if step.mix is None:
            return own
        other = hard_cross_entropy(log_probs, step.labels.flip(0), self.smoothing)
        return step.mix.share * own + (1 - step.mix.share) * other

    def end_epoch(self) -> dict[str, float]:
        """After the last batch, on every rank: exchange what must be, give the figures of the epoch."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Tensors on the CPU and plain containers; called on every rank."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue; raises ``UserError`` if the state does not fit this run."""

    def fresh(self) -> Loss:
        """One like it, without its state: what the overhead is measured on."""
        return copy.copy(self)

    def close(self) -> None:
        """Give files back."""

    def describe(self) -> str:
        """For the banner."""
        return self.name + (f", label smoothing {self.smoothing}" if self.smoothing else "")
