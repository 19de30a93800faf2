"""All rows on the device: N x C in half precision (CIFAR-100 10 MB, ImageNet 2.56 GB). The default."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from src.core.errors import UserError
from src.methods.pskd.memory.base import Memory, finite, one_hot
from src.methods.pskd.memory.exchange import share_rows
from src.methods.pskd.rows import DenseRows, Rows
from src.methods.pskd.step import Context, Step

ROW = torch.float16  # of probabilities: off by at most 2^-12, 10 bits where bfloat16 has 7


class TableMemory(Memory):
    """Under DDP every rank has the whole table; rows are needed only in the next epoch, so ranks exchange what they
    wrote once an epoch."""

    def open(self, context: Context) -> None:
        super().open(context)
        self.rows = one_hot(context.labels, context.classes, ROW, context.device)

    def read(self, step: Step) -> Rows:
        return DenseRows(self.rows[step.index])

    def write(self, step: Step, probs: Tensor, past: Rows) -> None:
        real = slice(0, step.real)
        fine = finite(probs[real])
        self.rows[step.index[real]] = torch.where(fine[:, None], probs[real].to(ROW), past.values[real])
        self.mark(step.index[real], fine)

    def exchange(self) -> None:
        share_rows([self.rows, self.written], self.written == self.epoch, self.context.world)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows.cpu(), "written": self.written.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_shape(state, len(self.written), self.context.classes)
        self.rows.copy_(state["rows"])
        self.written.copy_(state["written"])


def check_shape(state: dict[str, Any], samples: int, classes: int) -> None:
    """Raise ``UserError`` if a saved table is of another data set or another kind."""
    if "rows" not in state:
        raise UserError("method.loss.memory", f"the checkpoint's memory has {', '.join(state)}, not rows",
                        "resume with the memory the run was started with (table and sharded can be exchanged)")
    if tuple(state["rows"].shape) != (samples, classes):
        raise UserError("data", f"the saved past predictions are {tuple(state['rows'].shape)} (samples, classes), "
                                f"this data set needs {(samples, classes)}",
                        "resume with the data that the run was started with")
