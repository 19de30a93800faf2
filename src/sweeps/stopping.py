"""The signals that end a sweep."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handling(stop: Callable[[int], None]) -> Iterator[None]:
    """Signals go to ``stop`` inside the block."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    for signum, handler in before.items():
        if signum != signal.SIGHUP or handler != signal.SIG_IGN:  # nohup means it
            signal.signal(signum, lambda number, _: stop(number))
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
