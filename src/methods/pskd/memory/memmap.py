"""Rows in files of the run's folder, for tables that fit no device: one is read while the next is written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from src.core import atomic
from src.core.errors import UserError
from src.methods.pskd.memory.base import Memory, finite
from src.methods.pskd.memory.exchange import share_rows
from src.methods.pskd.rows import DenseRows, Rows
from src.methods.pskd.step import Context, Step

BLOCK = 4096  # rows copied at once


class MemmapMemory(Memory):
    """3 x N x C half-precision numbers on disk (ImageNet 3 x 2.56 GB) and a batch of them in memory.

    A file an epoch, because a checkpoint of epoch t must find the rows of epoch t after a crash in the midst of t + 1;
    those of the last two checkpoints are kept. Ranks of one machine, or with a common disk, share the files; a row is
    written by exactly one of them.
    """

    def open(self, context: Context) -> None:
        super().open(context)
        self.folder = context.folder / "memory"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.generation = 0  # epochs whose rows the file for reading holds; 0: labels
        self.saved: list[int] = []  # generations that the last two checkpoints need
        self.waiting: tuple[np.ndarray, Tensor, Tensor, Any] | None = None

    def path(self, generation: int) -> Path:
        return self.folder / f"rows_{generation}.f16"

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        if self.context.rank == 0:
            self._clean({*self.saved, self.generation})
        if self.generation == 0:
            self._write_labels()
        self.now, self.next = self._file(self.generation), self._file(self.generation + 1)

    def _clean(self, needed: set[int]) -> None:
        """Remove files that no checkpoint needs; also those of epochs that are trained once more."""
        for file in self.folder.glob("rows_*"):
            if file.with_suffix(".f16") not in map(self.path, needed):
                file.unlink()

    def _file(self, generation: int) -> np.memmap:
        """Opened for reading and writing; made first, by rank 0, where it is missing."""
        path, shape = self.path(generation), (len(self.context.labels), self.context.classes)
        if self.context.rank == 0 and not path.is_file():
            with atomic.replacing(path) as draft, draft.open("wb") as stream:
                _reserve(stream.fileno(), 2 * shape[0] * shape[1])
        self._wait()
        return np.memmap(path, np.float16, "r+", shape=shape)

    def _write_labels(self) -> None:
        file = self._file(0)
        if self.context.rank == 0:
            labels = self.context.labels.numpy()
            for start in range(0, len(labels), BLOCK):
                part = labels[start : start + BLOCK]
                file[start : start + BLOCK] = np.arange(self.context.classes) == part[:, None]
            file.flush()
        self._wait()

    def read(self, step: Step) -> Rows:
        rows = torch.from_numpy(self.now[step.host_index.numpy()])
        if self.context.device.type == "cuda":
            rows = rows.pin_memory()
        return DenseRows(rows.to(self.context.device, non_blocking=True))

    def write(self, step: Step, probs: Tensor, past: Rows) -> None:
        """Goes to the host while the device works on; the batch before is on the host by then and goes to the file."""
        real = slice(0, step.real)
        fine = finite(probs[real])
        rows = torch.where(fine[:, None], probs[real].to(torch.float16), past.values[real])
        self._flush()
        self.waiting = (step.host_index[real].numpy(), *_to_host(rows))
        self.mark(step.index[real], fine)

    def _flush(self) -> None:
        if self.waiting is None:
            return
        index, rows, event = self.waiting
        if event is not None:
            event.synchronize()
        self.next[index] = rows.numpy()
        self.waiting = None

    def end_epoch(self) -> dict[str, float]:
        """Rows that were not written are carried over; then the files change places."""
        self._flush()
        figures = super().end_epoch()
        old = (self.written != self.epoch).nonzero().squeeze(1).cpu().numpy()
        if self.context.rank == 0:
            for start in range(0, len(old), BLOCK):
                part = old[start : start + BLOCK]
                self.next[part] = self.now[part]
        self.next.flush()
        self.generation += 1
        self._wait()
        if self.context.rank == 0:
            _note(self.path(self.generation), self._stamp())
        return figures

    def exchange(self) -> None:
        share_rows([self.written], self.written == self.epoch, self.context.world)

    def _stamp(self) -> dict[str, Any]:
        return {"generation": self.generation, "fingerprint": self.context.fingerprint}

    def state_dict(self) -> dict[str, Any]:
        """The rows stay in their file; the checkpoint says which."""
        self.saved = [*self.saved, self.generation][-2:]
        return {"memmap": self.generation, "before": self.saved[0], "written": self.written.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "memmap" not in state:
            raise UserError("method.loss.memory=memmap", f"the checkpoint's memory has {', '.join(state)}",
                            "resume with the memory the run was started with")
        self.generation = int(state["memmap"])
        path, found = self.path(self.generation), _noted(self.path(self.generation))
        if self.generation and (not path.is_file() or found != self._stamp()):
            raise UserError(path, f"the past predictions of {self.generation} epochs are not there (found: {found})",
                            "keep the folder memory/ of the run beside its checkpoints, or start afresh")
        self.saved = [int(state["before"]), self.generation]
        self.written.copy_(state["written"])

    def _wait(self) -> None:
        if self.context.world > 1:
            dist.barrier()


def _to_host(rows: Tensor) -> tuple[Tensor, Any]:
    if rows.device.type != "cuda":
        return rows.cpu(), None
    host = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
    host.copy_(rows, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return host, event


def _reserve(descriptor: int, size: int) -> None:
    """A full disk shows now: a page of a mapped file that finds no room later ends the process without a word."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def _note(path: Path, content: dict[str, Any]) -> None:
    atomic.write_text(path.with_suffix(".json"), json.dumps(content))


def _noted(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None
