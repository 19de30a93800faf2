"""A SLURM job that is interrupted and queued again: the same command line goes on in the folder that it began."""

import os
import subprocess
from pathlib import Path

from src.core import atomic, console, signals

JOB_FILE = "slurm_job.txt"  # in a run's folder: the job that worked on it last


def job() -> str | None:
    """This job's id, of an array ``<array>_<task>``; None outside SLURM."""
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}"
    return os.environ.get("SLURM_JOB_ID") or None


def was_requeued() -> bool:
    """Whether SLURM has started this job before; it then has the same id."""
    return job() is not None and os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def record(folder: Path) -> None:
    """Note in a run's folder which job works on it."""
    if (number := job()) is not None:
        atomic.write_text(folder / JOB_FILE, f"{number}\n")


def was_in(folder: Path) -> bool:
    """Whether this job is the last that worked on the run in a folder."""
    try:
        return (folder / JOB_FILE).read_text().strip() == job()
    except OSError:
        return False


def is_preempted() -> bool:
    """Whether SLURM takes the nodes away for another job. One that ends by itself in its grace time is not queued again
    by SLURM. A job that was cancelled is no longer running."""
    try:
        told = _scontrol("show", "job")
    except (OSError, subprocess.SubprocessError):
        return False
    return "JobState=RUNNING" in told and "PreemptTime=" in told and "PreemptTime=None" not in told


def queued_again(code: int) -> int:
    """The exit code in a SLURM job; one that was warned or is preempted is queued again by its main process.

    The other processes end well: srun would end the main one as soon as another has failed, maybe while it asks.
    """
    warned, moved, ended = (128 + signum for signum in (signals.REQUEUE, signals.MOVE, signals.END))
    if code not in (warned, moved, ended):
        return code
    if not console.is_main_process():
        return 0
    if code == warned or (code == ended and is_preempted()):
        requeue()
    return code


def requeue() -> None:
    """Ask SLURM to start this job again."""
    try:
        _scontrol("requeue")
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip() or f"exit code {error.returncode}"
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(error)
    else:
        console.note(f"Job {job()} is queued again and will go on from here.")
        return
    console.warn(f"scontrol requeue {job()} failed: {reason}. Submit it again with resume=auto")


def _scontrol(*words: str) -> str:
    """What scontrol says to these words and the job's id. A group of its own: SLURM signals ours."""
    return subprocess.run(["scontrol", *words, str(job())], capture_output=True, text=True, timeout=60, check=True,
                          process_group=0).stdout
