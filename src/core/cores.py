"""The cores that this process may use."""

import os


def own() -> list[int]:
    """Their numbers; a scheduler or a container may leave it fewer than the machine has."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
