"""Several processes of one job, started as torchrun starts them: what they are goes through the environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port of this host that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def side_by_side(count: int, module: str, arguments: Sequence[str], seconds: float = 300) -> None:
    """Run `python -m module *arguments` as `count` ranks on gloo, and fail if one of them does."""
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
              "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_RANK": "0",
              "TORCHELASTIC_RUN_ID": "test"}
    ranks = [subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
             for rank in range(count)]
    try:
        told = [rank.communicate(timeout=seconds)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(told)
