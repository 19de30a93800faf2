"""Which submitted jobs SLURM still has, asked of ``squeue``: it answers on every cluster, ``sacct`` only where jobs are
kept in a database."""

from __future__ import annotations

import subprocess
from pathlib import Path

from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

from src.core.errors import FAILED_RUN, UserError

GONE = "GONE"
LOOK = 60  # seconds between two looks at the queue, once the jobs run


class Queue(SlurmInfoWatcher):
    """A job is done once it has left the queue: until then it waits, runs, is suspended, or will run again."""

    def _make_command(self) -> list[str] | None:
        return _command() if self._registered - self._finished else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        listed = (string.decode() if isinstance(string, bytes) else string).split()
        return {job: {"JobID": job, "State": "RUNNING" if job in listed else GONE} for job in self._registered}


def watch() -> None:
    """Let submitit learn from the queue how its jobs are."""
    SlurmJob.watcher = Queue(delay_s=LOOK)


def queued(folder: Path, name: str, tasks: int) -> SlurmJob | None:
    """The job that an earlier process submitted under ``name``, if it still waits or runs.

    Raises ``UserError`` if that cannot be known: a second job in the same folder would be in the first one's way.
    """
    try:
        number = _file(folder, name).read_text().strip()
    except FileNotFoundError:
        return None
    try:
        listed = subprocess.run(_command(), capture_output=True, text=True, check=True, timeout=60).stdout.split()
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(" ".join(_command()), f"does not say whether job {number} is still in the queue ({error})",
                        "try again with resume= when it answers", FAILED_RUN) from error
    return SlurmJob(folder, number, tasks=list(range(tasks))) if number in listed else None


def remember(folder: Path, name: str, number: str) -> None:
    """Keep which job was submitted under ``name``, for a process that goes on with the sweep."""
    _file(folder, name).write_text(f"{number}\n")


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.job"


def _command() -> list[str]:
    return ["squeue", "--me", "--noheader", "--format=%i"]
