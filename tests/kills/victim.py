"""A run in a process of its own that can be killed: at a time, or at its n-th change of a file."""

from __future__ import annotations

import importlib
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Where a kill hit is told in these words: the innermost of the functions that were running.
PLACES = {
    "src.core.work:Work.__init__": "building", "src.core.launch:_Run._open_folder": "opening the folder",
    "src.core.work:Work._test": "an evaluation", "src.core.work:Work._export": "the export",
    "src.core.work:Work.report": "the report", "src.core.checkpoint:RunCheckpoint.on_train_epoch_end": "a checkpoint",
    "src.core.checkpoint:RunCheckpoint._settle": "a checkpoint's renaming",
    "src.core.csv_logger:CSVRows.log_metrics": "metrics.csv", "src.core.results:Results.save": "metrics.json",
    "src.methods.b2diffurl.module:B2DiffuRL.load": "loading",
    "src.methods.b2diffurl.module:B2DiffuRL.collect": "sampling",
    "src.methods.b2diffurl.module:B2DiffuRL.score": "scoring",
    "src.methods.b2diffurl.module:B2DiffuRL.training_step": "an update",
    "src.methods.b2diffurl.module:B2DiffuRL.evaluate": "an evaluation",
    "src.methods.pskd.module:Classifier.configure_model": "loading",
    "src.methods.pskd.module:Classifier.training_step": "an update",
    "src.methods.pskd.module:Classifier.validation_step": "an evaluation",
    "src.methods.pskd.losses.pskd:PSKD.end_epoch": "the past predictions",
}
BEGINNING = "the first moments"
_CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


@dataclass(frozen=True)
class Strike:
    """How a process is to end: `signum` after `seconds`, or SIGKILL before its `change`-th change of a file."""

    seconds: float | None = None
    change: int | None = None
    signum: int = signal.SIGKILL


NONE = Strike()


@dataclass(frozen=True)
class Ended:
    """What became of it: the exit code (negative: a signal), where it was, seconds, and how many files it changed."""

    code: int
    place: str
    seconds: float
    changes: int


class Board:
    """Memory that the process shares with its parent, who reads it when the process is dead."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 512)
        self.write(0, BEGINNING)

    def write(self, changes: int, place: str) -> None:
        text = place.encode()[:500]
        self.memory[:] = changes.to_bytes(8, "little") + text + bytes(504 - len(text))

    def read(self) -> tuple[int, str]:
        return int.from_bytes(self.memory[:8], "little"), self.memory[8:].rstrip(b"\0").decode()


class Watch:
    """Keeps the board up to date inside the process, and ends the process at the change that was asked for."""

    def __init__(self, board: Board, folder: Path, strike: Strike) -> None:
        self.board, self.folder, self.strike = board, str(folder), strike
        self.changes, self.places = 0, [BEGINNING]
        sys.addaudithook(self._audit)
        for name, place in PLACES.items():
            module, _, path = name.partition(":")
            owner, _, function = path.partition(".")
            self._patch(getattr(importlib.import_module(module), owner), function, place)
        self._show()

    def _patch(self, owner: Any, name: str, place: str) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Any:
            self.places.append(place)
            self._show()
            try:
                return original(*args, **options)
            finally:
                self.places.pop()
                self._show()

        setattr(owner, name, watched)

    def _show(self, change: str = "") -> None:
        self.board.write(self.changes, self.places[-1] + change)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not (flags & (os.O_WRONLY | os.O_RDWR)) or not self._concerns(path):
                return
        elif event not in _CHANGES or not any(self._concerns(item) for item in arguments[:2]):
            return
        self.changes += 1
        if self.changes == self.strike.change:
            self._show(f", before {event.removeprefix('os.')} {Path(os.fsdecode(arguments[0])).name}")
            os.kill(os.getpid(), signal.SIGKILL)
        self._show()

    def _concerns(self, path: Any) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self.folder)


def warm() -> None:
    """Import what is watched, for every process forked from this one."""
    for name in PLACES:
        importlib.import_module(name.partition(":")[0])


def run(arguments: Sequence[str], folder: Path, log: Path, strike: Strike = NONE,
        prepare: Callable[[], None] = lambda: None) -> Ended:
    """One command line in a forked process, everything imported already; `folder` is where it writes.

    `prepare` is called in the new process first.
    """
    board, began = Board(), time.monotonic()
    process = os.fork()
    if process == 0:
        _be_the_run(arguments, folder, log, strike, board, prepare)
    if strike.seconds is not None:
        _strike_later(process, strike)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    changes, place = board.read()
    return Ended(code, place, time.monotonic() - began, changes)


def _strike_later(process: int, strike: Strike) -> None:
    end = time.monotonic() + strike.seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.005)
    os.kill(process, strike.signum)


def _be_the_run(arguments: Sequence[str], folder: Path, log: Path, strike: Strike, board: Board,
                prepare: Callable[[], None]) -> None:
    code = 70
    with log.open("a", buffering=1) as sys.stdout:
        sys.stderr = sys.stdout
        try:
            import torch

            from src import run as entry

            torch.set_num_threads(1)
            prepare()
            Watch(board, folder, strike)
            code = entry.run(list(arguments))
        except BaseException as error:
            traceback.print_exc()
            code = 130 if isinstance(error, KeyboardInterrupt) else code  # the run itself was not there yet
        sys.stdout.flush()
    os._exit(code)
