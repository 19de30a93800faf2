"""Each rank keeps the rows it will read next: N / ranks x C on each device, at one exchange an epoch."""

from __future__ import annotations

from typing import Any

import torch
from torch import LongTensor, Tensor

from src.methods.pskd.memory.base import Memory, finite, one_hot
from src.methods.pskd.memory.exchange import pieces, redistribute, share_rows
from src.methods.pskd.memory.table import ROW, check_shape
from src.methods.pskd.rows import DenseRows, Rows
from src.methods.pskd.step import Context, Step


class ShardedMemory(Memory):
    """Rows lie in the order in which this rank visits them in the epoch: a batch is a slice, nothing is searched.

    Orders are functions of (seed, epoch), so every rank knows where each row lies and who needs it next; rows travel
    straight from the rank that wrote them to the one that reads them. Checkpoints hold the whole table, and fit `table`
    too.
    """

    def open(self, context: Context) -> None:
        super().open(context)
        self.rows, self.order = torch.empty(0, context.classes, dtype=ROW, device=context.device), None
        self.full: Tensor | None = one_hot(context.labels, context.classes, ROW, torch.device("cpu"))
        self.at = 0

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        orders = [self._order(epoch, rank) for rank in range(self.context.world)]
        if self.order is None:
            self.rows = self.full[orders[self.context.rank]].to(self.context.device)
            self.full = None
        else:
            self.rows = self._moved(orders)
        self.order = orders

    def _order(self, epoch: int, rank: int) -> LongTensor:
        """Samples that a rank visits, in that order, without padding."""
        order = self.context.order_of(epoch, rank)
        return order.index[: sum(order.real)]

    def _moved(self, orders: list[LongTensor]) -> Tensor:
        """Rows in the order of the new epoch."""
        place = self._places()
        rank_of, own = self._owners(), self.context.rank
        if self.context.world == 1:
            return self.rows[place[orders[0]].to(self.rows.device)]
        sends = [place[order[rank_of[order] == own]].to(self.rows.device) for order in orders]
        owners = rank_of[orders[own]]
        receives = [int((owners == rank).sum()) for rank in range(self.context.world)]
        arrived = redistribute(self.rows, sends, receives)
        return arrived[owners.argsort(stable=True).argsort().to(arrived.device)]

    def _places(self) -> LongTensor:
        """Where each sample lies on the rank that has it, [N]."""
        place = torch.zeros(len(self.context.labels), dtype=torch.int64)
        for order in self.order:
            place[order] = torch.arange(len(order))
        return place

    def _owners(self) -> LongTensor:
        """Rank that has each sample, [N]."""
        owner = torch.zeros(len(self.context.labels), dtype=torch.int64)
        for rank, order in enumerate(self.order):
            owner[order] = rank
        return owner

    def read(self, step: Step) -> Rows:
        return DenseRows(self.rows[self._slice(step)].clone())  # `write` changes the rows in place

    def _slice(self, step: Step) -> LongTensor | slice:
        """The batch's place: batches come in the order of the epoch; padding repeats the first row of its batch."""
        start = step.start
        if step.real == len(step.index):
            return slice(start, start + step.real)
        place = torch.arange(start, start + len(step.index), device=self.rows.device)
        return torch.where(place < start + step.real, place, min(start, len(self.rows) - 1))

    def write(self, step: Step, probs: Tensor, past: Rows) -> None:
        real = slice(0, step.real)
        fine = finite(probs[real])
        kept = torch.where(fine[:, None], probs[real].to(ROW), past.values[real])
        self.rows[step.start : step.start + step.real] = kept
        self.mark(step.index[real], fine)

    def exchange(self) -> None:
        share_rows([self.written], self.written == self.epoch, self.context.world)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._whole(), "written": self.written.cpu()}

    def _whole(self) -> Tensor:
        """The table of all ranks, on the CPU."""
        if self.order is None:
            return self.full
        table = one_hot(self.context.labels, self.context.classes, ROW, torch.device("cpu"))
        if self.context.world == 1:
            table[self.order[0]] = self.rows.cpu()
            return table
        for rank, part, rows in pieces(self.rows, [len(order) for order in self.order]):
            table[self.order[rank][part]] = rows.cpu()
        return table

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_shape(state, len(self.written), self.context.classes)
        self.full, self.order = state["rows"].clone(), None
        self.written.copy_(state["written"])
