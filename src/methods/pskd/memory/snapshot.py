"""No rows at all: last epoch's weights see the same (augmented, mixed) input, at the cost of one more forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from src.core.errors import UserError
from src.core.processes import ranks
from src.methods.pskd.memory.base import Memory, one_hot
from src.methods.pskd.rows import DenseRows, Rows
from src.methods.pskd.step import Context, Step


class SnapshotMemory(Memory):
    """The only exact choice for mixed pictures. The teacher is the network as it was at the end of the last epoch, in
    evaluation mode, so that it changes no running statistics; before the first end of an epoch it is the label."""

    serves_mixed = True

    def open(self, context: Context) -> None:
        self.context, self.teacher, self.ready = context, context.build().to(context.device), False
        self.teacher.eval().requires_grad_(False)

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def read(self, step: Step) -> Rows:
        if not self.ready:
            return self._labels(step)
        with torch.no_grad():
            return DenseRows(self.teacher(step.images).float().softmax(1))

    def _labels(self, step: Step) -> Rows:
        rows = one_hot(step.labels, self.context.classes, torch.float32, step.images.device)
        share = step.mix.share if step.mix is not None else 1.0
        return DenseRows(share * rows + (1 - share) * rows.flip(0))

    def write(self, step: Step, probs: Tensor, past: Rows) -> None:
        """Nothing: the weights are the memory."""

    def end_epoch(self) -> dict[str, float]:
        self._take()
        return {}

    def _take(self) -> None:
        """Rank 0's running statistics on all ranks, as DDP has them before its next forward pass and a checkpoint."""
        self.teacher.load_state_dict(self.context.network.state_dict())
        ranks.copy_from_first(self.teacher.buffers())
        self.ready = True

    def state_dict(self) -> dict[str, Any]:
        """The teacher of the next epoch is the network of this checkpoint, which is saved anyway."""
        return {"snapshot": self.ready}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "snapshot" not in state:
            raise UserError("method.loss.memory=snapshot", f"the checkpoint's memory has {', '.join(state)}",
                            "resume with the memory the run was started with")
        if state["snapshot"]:
            self._take()
