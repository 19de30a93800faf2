"""An approximation: the k largest probabilities of each row, and the rest of the mass spread over the other classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from src.core.errors import UserError
from src.methods.pskd.memory.base import Memory, finite
from src.methods.pskd.memory.exchange import share_rows
from src.methods.pskd.memory.table import ROW
from src.methods.pskd.rows import Rows, TopRows
from src.methods.pskd.step import Context, Step


class TopMemory(Memory):
    """N x k values and classes: with k = 10, ImageNet needs 51 MB instead of 2.56 GB.

    The loss differs from the table's by at most a_t * rest * (largest - smallest logit); `memory/rest`, the mean mass
    that the k classes leave out, is logged every epoch.
    """

    def __init__(self, top: int) -> None:
        self.top = top

    def open(self, context: Context) -> None:
        super().open(context)
        self.k = min(self.top, context.classes)
        kind = torch.int16 if context.classes < 2**15 else torch.int32
        self.values = torch.zeros(len(context.labels), self.k, dtype=ROW, device=context.device)
        self.values[:, 0] = 1
        steps = torch.arange(self.k, device=context.device)  # the label first, then classes that have no mass
        self.classes = ((context.labels.to(context.device)[:, None] + steps) % context.classes).to(kind)
        self.rest, self.count = torch.zeros((), device=context.device), 0

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.rest.zero_()
        self.count = 0

    def read(self, step: Step) -> Rows:
        return TopRows(self.values[step.index], self.classes[step.index].long(), self.context.classes)

    def read_mirrored(self, step: Step) -> Rows:
        rows = self.read(step)
        return TopRows(rows.values.flip(0), rows.classes.flip(0), rows.count)

    def write(self, step: Step, probs: Tensor, past: Rows) -> None:
        real = slice(0, step.real)
        fine = finite(probs[real])
        values, classes = probs[real].nan_to_num().topk(self.k, 1)
        index, kept = step.index[real], fine[:, None]
        self.values[index] = torch.where(kept, values.to(ROW), past.values[real])
        self.classes[index] = torch.where(kept, classes, past.classes[real]).to(self.classes.dtype)
        self.rest += torch.where(fine, 1 - values.sum(1), 0).sum()
        self.count += step.real
        self.mark(index, fine)

    def exchange(self) -> None:
        share_rows([self.values, self.classes, self.written], self.written == self.epoch, self.context.world)

    def end_epoch(self) -> dict[str, float]:
        return {**super().end_epoch(), "memory/rest": float(self.rest) / max(self.count, 1)}

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values.cpu(), "classes": self.classes.cpu(), "written": self.written.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "values" not in state or state["values"].shape != self.values.shape:
            there = f"{tuple(state['values'].shape)} (samples, k)" if "values" in state else f"{', '.join(state)}"
            raise UserError("method.loss.memory=topk", f"the checkpoint's memory is {there}, this run needs "
                            f"{tuple(self.values.shape)}",
                            "resume with the memory, k and data that the run was started with")
        for name in ("values", "classes", "written"):
            getattr(self, name).copy_(state[name])
