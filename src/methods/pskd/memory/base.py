"""The interface of a memory of past predictions, and what all that keep rows have in common."""

from __future__ import annotations

from typing import Any

import torch
from torch import LongTensor, Tensor

from src.core.console import warn
from src.methods.pskd.rows import DenseRows, Rows
from src.methods.pskd.step import Context, Step

NEVER = -1


class Memory:
    """Hands out P_{t-1} of a batch and takes P_t. Before a sample's first visit its row is the one-hot label.

    Plain tensors, no module buffers: DDP would broadcast them at every forward and overwrite what ranks differ in.
    """

    serves_mixed = False  # whether `read` is exact for mixed pictures

    def open(self, context: Context) -> None:
        """Allocate; every row is the one-hot label."""
        self.context = context
        self.written = torch.full((len(context.labels),), NEVER, dtype=torch.int32, device=context.device)
        self.refused = torch.zeros((), dtype=torch.int64, device=context.device)

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.refused.zero_()

    def read(self, step: Step) -> Rows:
        """P_{t-1} of the batch's samples."""
        raise NotImplementedError

    def read_mirrored(self, step: Step) -> Rows:
        """The same of the samples at the mirrored places, with which a mixed batch was mixed."""
        rows = self.read(step)
        return DenseRows(rows.values.flip(0))

    def write(self, step: Step, probs: Tensor, past: Rows) -> None:
        """Keep P_t [B, C] (fp32, detached) of the batch's real rows. A row with a NaN is refused: the old one stays."""
        raise NotImplementedError

    def mark(self, index: LongTensor, fine: Tensor) -> None:
        """Note which rows [B] were written in this epoch; count the refused ones, without waiting for the device."""
        self.written[index] = torch.where(fine, self.epoch, self.written[index])
        self.refused += (~fine).sum()

    def end_epoch(self) -> dict[str, float]:
        """Exchange between ranks what must be; the age of rows in epochs and the refused ones as figures."""
        self.exchange()
        return self.ages()

    def exchange(self) -> None:
        """Give other ranks what they need in the next epoch."""

    def ages(self) -> dict[str, float]:
        """0 for a row written in this epoch; rows that are still the label count from the start."""
        age = (self.epoch - self.written[self.context.candidates.to(self.written.device)]).float()
        refused = int(self.refused)
        if refused:
            warn(f"{refused} predictions of epoch {self.epoch + 1} were NaN and not kept; the earlier ones stay")
        return {"memory/row_age_mean": float(age.mean()), "memory/row_age_max": float(age.max()),
                "memory/refused_rows": float(refused)}

    def state_dict(self) -> dict[str, Any]:
        """Everything that resuming needs, on the CPU; called on every rank."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Give files back."""


def finite(probs: Tensor) -> Tensor:
    """Whether a row [B, C] has neither NaN nor infinity, [B]: its sum would be one of them."""
    return probs.sum(1).isfinite()


def one_hot(labels: LongTensor, classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[N, C] without an int64 copy of that size."""
    rows = torch.zeros(len(labels), classes, dtype=dtype, device=device)
    return rows.scatter_(1, labels.to(device)[:, None], 1)
