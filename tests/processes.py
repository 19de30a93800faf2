"""Several ranks of one job, as torchrun starts them: what they are goes through the environment.

As a program (`python -m tests.processes <count> <module> <argument> ...`) it is their parent. What they all import is
imported once, which takes longer than what they do; they part while there are no threads yet.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port of this host that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def side_by_side(count: int, module: str, arguments: Sequence[str], seconds: float = 300) -> None:
    """Call `main(*arguments)` of a module on `count` ranks on gloo, and fail if one of them does."""
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
              "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_RANK": "0",
              "TORCHELASTIC_RUN_ID": "test"}
    command = [sys.executable, "-m", "tests.processes", str(count), module, *arguments]
    parent = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=shared, start_new_session=True)
    try:
        told = parent.communicate(timeout=seconds)[0]
    finally:
        if parent.poll() is None:
            os.killpg(parent.pid, signal.SIGKILL)
    assert parent.returncode == 0, told


def _start(rank: int, main: object, arguments: Sequence[str]) -> int:
    """A rank's process id."""
    process = os.fork()
    if process:
        return process
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    try:
        main(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    count, name, *arguments = sys.argv[1:]
    main = importlib.import_module(name).main
    ranks = [_start(rank, main, arguments) for rank in range(int(count))]
    sys.exit(any([os.waitpid(rank, 0)[1] for rank in ranks]))
