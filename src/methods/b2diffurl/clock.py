"""What training has cost so far: seconds by phase, and UNet evaluations. Evaluation pictures do not count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any

import torch

from src.core.processes import ranks


class Clock:
    """`with clock("sample"):` adds the block's seconds to that phase; the sums survive a checkpoint."""

    def __init__(self) -> None:
        self.seconds = {"sample": 0.0, "score": 0.0, "train": 0.0}
        self.evaluations = 0

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = perf_counter()
        yield
        _finish_queue()  # what was queued belongs to the phase
        self.seconds[phase] = self.seconds.get(phase, 0.0) + perf_counter() - start

    def between_ranks(self) -> ExitStack:
        """`with clock.between_ranks():` around what ranks send each other: seconds of `wait` until the slowest is
        there, then of `communicate`. A run of one process has neither."""
        stack = ExitStack()
        if ranks.count() > 1:
            with self("wait"):
                ranks.meet()
            stack.enter_context(self("communicate"))
        return stack

    def add_evaluations(self, count: int) -> None:
        """Rows that went through the UNet; guidance makes two of one."""
        self.evaluations += count

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": dict(self.seconds), "evaluations": self.evaluations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds, self.evaluations = dict(state["seconds"]), state["evaluations"]


def _finish_queue() -> None:
    """The host waits for its device here: once a phase of a stage, twice an optimiser step."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()
