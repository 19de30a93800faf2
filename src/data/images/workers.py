"""How many processes may read pictures, so that those of one host do not crowd its cores."""

from __future__ import annotations

import socket

from src.core.cores import own as cores
from src.core.processes import ranks

MOST = 8  # more seldom read faster, and each takes memory


def per_process() -> int:
    """Workers of each rank: one for each core that is its own, where several of a host have the same ones for each of
    its share. All ranks must call it."""
    own = (socket.gethostname(), cores())
    return min(max(len(own[1]) // ranks.gathered(own).count(own), 1), MOST)
