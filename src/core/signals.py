"""Ctrl-C, SIGTERM, and SIGUSR1 or 2, which clusters send before they take a machine away: stop between two batches."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from src.core import console

REQUEUE = signal.SIGUSR1  # what `sbatch --signal=USR1@300` sends before the time is over; Lightning's choice too
END = signal.SIGTERM
MOVE = signal.SIGUSR2  # what submitit has SLURM send; it then queues the job again itself
ORDER = (None, END, signal.SIGINT, MOVE, REQUEUE)  # which of several signals says why a run stops: the last one here
_requested: int | None = None
_HANDLED = ORDER[1:]


class StopRun(BaseException):
    """The user or the machine asked the run to end. Not an ``Exception``: no ``except Exception`` swallows it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"signal {signum}")

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, 138 for SIGUSR1, 140 for SIGUSR2, as shells have it."""
        return 128 + self.signum


def requested() -> int | None:
    """The signal that asked for a stop, if any."""
    return _requested


def check_stop() -> None:
    """Raise ``StopRun`` if a stop was asked for; called between batches and between steps of a phase."""
    if _requested is not None:
        raise StopRun(_requested)


def install() -> None:
    """Put our handlers in place (again: Lightning wraps SIGTERM with its own at each start of a loop)."""
    for signum in _HANDLED:
        signal.signal(signum, _handle)


@contextmanager
def caught() -> Iterator[None]:
    """Handle these signals inside the block; the previous handlers come back after it."""
    global _requested
    _requested = None
    before = {signum: signal.getsignal(signum) for signum in _HANDLED}
    install()
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        _requested = None  # it was about the run that has ended


def _handle(signum: int, frame: FrameType | None) -> None:
    global _requested
    if _requested is not None and signum == signal.SIGINT:
        raise KeyboardInterrupt
    _requested = _requested or signum  # the first says why: SLURM sends SIGTERM after its warning
    console.note("Stopping after the current batch. Ctrl-C again stops at once.")
