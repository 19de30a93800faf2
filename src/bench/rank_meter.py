"""Times every message between the ranks of a PS-KD training, and the wait before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
import torch.distributed as dist

from src.bench.timing import now
from src.core.processes import ranks
from src.methods.pskd.memory import exchange, memmap
from src.methods.pskd.module import Classifier


class Meter(L.Callback):
    """Seconds of this rank by what they went to, a row an epoch."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.rows: list[dict[str, float]] = []
        self.saving, self.before, self.steps = False, 0.0, 0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = now()
        yield
        self.seconds[name] += now() - start

    def sent(self, name: str, action: Callable[..., Any], *given: Any) -> Any:
        """The action, begun by all ranks at once."""
        with self(f"wait, {name if name in ('rows', 'checkpoint') else 'steps'}"):
            ranks.meet()
        with self(name):
            return action(*given)

    def on_train_start(self, trainer: L.Trainer, pl_module: Classifier) -> None:
        network = trainer.strategy.model
        network.register_comm_hook(None, lambda _, bucket: self._average(bucket))  # annotations are refused
        synchronise = network._sync_buffers
        network._sync_buffers = lambda: self.sent("buffers", synchronise)
        exchange.dist = memmap.dist = _Distributed(self)

    def _average(self, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        gradients = bucket.buffer().div_(ranks.count())
        self.sent("gradients", dist.all_reduce, gradients)
        where = [gradients.device] if gradients.is_cuda else None
        future: torch.futures.Future[torch.Tensor] = torch.futures.Future(devices=where)
        future.set_result(gradients)
        return future

    def on_train_batch_end(self, *_: object) -> None:
        self.steps += 1

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Classifier) -> None:
        """Before the module's own hook, which may exchange rows already."""
        self._close(pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Classifier) -> None:
        self._close(pl_module)
        exchange.dist = memmap.dist = dist

    def _close(self, module: Classifier) -> None:
        """A row of the epoch that is over: `steps`, seconds by kind and in all, those of gathering rows to save."""
        if module.clock.seconds > self.before:
            self.saving = True
            module.loss.state_dict()
            self.saving = False
            self.rows.append({**self.seconds, "epoch": module.clock.seconds - self.before, "steps": self.steps})
            self.before = module.clock.seconds
        self.steps = 0
        self.seconds.clear()


class _Distributed:
    """torch.distributed as the memories use it, timed."""

    get_rank = staticmethod(dist.get_rank)

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def all_gather(self, *given: Any) -> None:
        self.meter.sent("checkpoint" if self.meter.saving else "rows", dist.all_gather, *given)

    def all_to_all_single(self, *given: Any) -> None:
        self.meter.sent("rows", dist.all_to_all_single, *given)

    def barrier(self) -> None:
        with self.meter("wait, rows"):
            dist.barrier()
