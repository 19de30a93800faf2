"""This machine's GPUs and cores, shared out among jobs that run at the same time; torch is not imported."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from src.core.config import trainer_rules
from src.core.cores import own
from src.core.processes import neighbours

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def gpus() -> list[str]:
    """The GPUs that jobs may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True,
                              text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split() if done.returncode == 0 else []


def cores() -> int:
    """Cores that this process may use."""
    return len(own())


def gpus_of_a_job(trainer: dict[str, Any]) -> int:
    """Of a run with this trainer, 0 on the CPU."""
    if trainer.get("accelerator") == "cpu":
        return 0
    return trainer_rules.on_a_node(trainer) or 1


def shares(jobs: int, names: list[str], each: int, threads: int | None = None) -> list[dict[str, str]]:
    """Environment variables for each of ``jobs`` places.

    Two jobs of two threads each on two cores take ten times longer than of one thread each. Where there are more jobs
    than GPUs, several share one.
    """
    given = [name for name in THREADS if name in os.environ]
    each_threads = str(threads or max(1, cores() // jobs))
    on_gpus = bool(names and each)
    beside = -(-jobs * each // len(names)) if on_gpus else jobs
    found = []
    for place in range(jobs):
        share = {neighbours.ENV: str(beside)}
        share |= {} if given and threads is None else dict.fromkeys(THREADS, each_threads)
        if on_gpus:
            share["CUDA_VISIBLE_DEVICES"] = ",".join(
                dict.fromkeys(names[(place * each + number) % len(names)] for number in range(each)))
        found.append(share)
    return found
