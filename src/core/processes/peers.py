"""Threads that watch parent and child processes: no process of a run outlives the others or ends without a message."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from src.core import console

LOOK = 0.5  # seconds between two looks
GRACE = 20.0  # seconds in which a process may end by itself before it is ended

LAST_LOOK = 0.1  # seconds: a process that was killed hangs up on the others a moment before it counts as ended

_leaving = threading.Event()
_watchers: list[threading.Thread] = []


def follow_parent() -> None:
    """End soon after the process that started this one: an orphan would wait in a collective and keep its GPU."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="follow-parent").start()


def leaving() -> None:
    """This process is on its way out by itself; nobody has to end it any more. Returns after a last look at the others:
    they may be why."""
    _leaving.set()
    while _watchers:
        _watchers.pop().join()


def replace_observer(lost: Callable[[str], None]) -> None:
    """Watch the processes that Lightning starts in the place of its own observer, which ends a run by SIGKILL.

    ``lost`` is called, in another thread, with what happened if this process has not ended by itself by then.
    """
    from lightning.pytorch.strategies.launchers import subprocess_script

    _leaving.clear()

    def observe(children: Sequence[subprocess.Popen]) -> None:
        watcher = threading.Thread(target=_watch, args=(list(children), lost), daemon=True, name="watch-children")
        watcher.start()
        _watchers.append(watcher)

    subprocess_script._launch_process_observer = observe


def leave(code: int) -> None:
    """Exit at once where others wait: a clean exit could wait for a collective that nobody answers."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_initialized() and distributed.get_world_size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(children: list[subprocess.Popen], lost: Callable[[str], None]) -> None:
    while (ended := _ended(children)) is None and not _leaving.wait(LOOK):
        pass
    if ended is None:
        time.sleep(LAST_LOOK)
        ended = _ended(children)
    if ended is None:
        return
    rank, code = ended
    what = f"the process of rank {rank} was ended by {_signal(code)}" if code < 0 else (
        f"the process of rank {rank} has ended with code {code}")
    if code < 0:
        console.warn(what)  # it could not say so itself
    if _leaving.wait(GRACE):
        return
    for child in children:
        child.kill()
    lost(what)
    os._exit(1)


def _ended(children: list[subprocess.Popen]) -> tuple[int, int] | None:
    """Rank and code of the first child that has failed."""
    codes = [child.poll() for child in children]
    return next(((rank, code) for rank, code in enumerate(codes, start=1) if code), None)


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
