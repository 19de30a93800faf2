"""How much of the host's memory a process may still take."""

from __future__ import annotations

from pathlib import Path

import psutil

GROUPS = Path("/sys/fs/cgroup")


def free() -> int:
    """Bytes that are available, and no more than a container or a job scheduler (cgroup v2) leaves to this process."""
    return max(0, min([psutil.virtual_memory().available, *_left_by_groups()]))


def _left_by_groups() -> list[int]:
    """What each of the process's control groups with a limit leaves; file pages that can be dropped count as free."""
    try:
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    place = GROUPS / own.removeprefix("0::").strip("/")
    found = []
    for folder in (place, *place.parents):
        try:
            limit, used = ((folder / name).read_text() for name in ("memory.max", "memory.current"))
            droppable = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            found.append(int(limit) - int(used) + int(droppable["inactive_file"]))
        except (OSError, ValueError, KeyError):  # no group, or `max`: no limit
            continue
    return found
