"""The tasks that SLURM starts for a job, against the processes of a run: both have to be the same ones."""

import os
from typing import Any

from src.core.config import trainer_rules
from src.core.errors import Problems, describe


def are_several() -> bool:
    """Whether this is one of several tasks, as Lightning tells it: a job called bash or interactive starts its own
    processes."""
    return _count() > 1 and "SLURM_PROCID" in os.environ and not _is_interactive()


def check() -> None:
    """Raise ``Problems`` in a job of several tasks that cannot find each other: its script has forgotten srun, so that
    this one would wait for the others, or does not say how many of them a node has, which Lightning has to know."""
    if not are_several():
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


def check_devices(trainer: dict[str, Any]) -> None:
    """Raise ``Problems`` where a job's tasks are not one for each device; of one task Lightning starts the others."""
    if not _count() or _is_interactive():
        return
    nodes = trainer.get("num_nodes") or 1
    if not are_several():
        if nodes > 1:
            raise Problems([describe(f"trainer.num_nodes={nodes}", "this job has one task, and every device of several "
                                     "nodes needs one", "start it with experiments/slurm/train.sbatch, or use "
                                     "trainer.num_nodes=1")])
        return
    found = [*_unlike(trainer, "devices", trainer_rules.on_a_node(trainer), "SLURM_NTASKS_PER_NODE",
                      "--ntasks-per-node"),
             *_unlike(trainer, "num_nodes", nodes, "SLURM_NNODES", "--nodes")]
    if found:
        raise Problems(found)


def plugins() -> list[Any]:
    """For the Trainer of a job of one task, which Lightning would take for the whole run: with this it starts the
    processes of the other devices itself."""
    if _count() != 1:
        return []
    from lightning.fabric.plugins.environments import LightningEnvironment

    return [LightningEnvironment()]


def _count() -> int:
    """0 outside SLURM, in a job that was not asked for a number of tasks, and where torchrun starts the processes."""
    return 0 if "TORCHELASTIC_RUN_ID" in os.environ else int(os.environ.get("SLURM_NTASKS") or 0)


def _unlike(trainer: dict[str, Any], key: str, wanted: int | None, name: str, option: str) -> list[str]:
    """A problem if the job was asked for another number than the trainer; None: only the node can tell."""
    given = os.environ.get(name)
    if None in (wanted, given) or int(given) == wanted:
        return []
    return [describe(f"trainer.{key}={trainer.get(key)}", f"the job has {name}={given}, and every device needs a task",
                     f"use trainer.{key}={given}, or {option}={wanted}")]


def _is_interactive() -> bool:
    return os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
