"""How many processes may read pictures, so that those of one host do not crowd its cores."""

from __future__ import annotations

import os
import socket

from src.core.processes import ranks

MOST = 8  # more seldom read faster, and each takes memory


def cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def per_process() -> int:
    """Workers of each rank: one for each core that is its own, where several of a host have the same ones for each of
    its share. All ranks must call it."""
    own = (socket.gethostname(), cores())
    return min(max(len(own[1]) // ranks.gathered(own).count(own), 1), MOST)
