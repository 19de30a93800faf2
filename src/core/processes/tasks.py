"""The tasks that SLURM starts for a job, and how they find each other."""

import os

from src.core.errors import Problems, describe


def are_several() -> bool:
    """Whether this is one of several tasks, as Lightning tells it: a job called bash or interactive starts its own
    processes."""
    return _count() > 1 and "SLURM_PROCID" in os.environ and not _is_interactive()


def check() -> None:
    """Raise ``Problems`` in a job of several tasks that cannot find each other: its script has forgotten srun, so that
    this one would wait for the others, or does not say how many of them a node has, which Lightning has to know."""
    if "TORCHELASTIC_RUN_ID" in os.environ or not are_several():
        return
    tasks, problems = f"SLURM_NTASKS={_count()}", []
    if "SLURM_STEP_ID" not in os.environ:
        problems.append(describe(tasks, "only srun starts a job's tasks, and this process was started without it",
                                 "write srun python -m src.run ... as experiments/slurm/train.sbatch, or ask for "
                                 "--ntasks=1"))
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        each = _count() // int(os.environ.get("SLURM_NNODES") or 1)
        problems.append(describe(tasks, "the job does not say how many tasks a node has",
                                 f"use --ntasks-per-node={each} in place of --ntasks"))
    if problems:
        raise Problems(problems)


def _count() -> int:
    """0 outside SLURM, and in a job that was not asked for a number of tasks."""
    return int(os.environ.get("SLURM_NTASKS") or 0)


def _is_interactive() -> bool:
    return os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
