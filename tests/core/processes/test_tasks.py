"""Which of a SLURM job's tasks are a run's processes, and which jobs are refused."""

from __future__ import annotations

import pytest

from src.core import console
from src.core.processes import tasks
from src.core.work import Work

TWO = ["trainer=cpu", "trainer.devices=2", "trainer.strategy=ddp"]
SRUN = {"STEP_ID": "0"}
PER_NODE = {"NTASKS_PER_NODE": "4"}


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch):
    """Makes this process the first task of a job."""
    def begin(tasks: int, **more: str) -> None:
        shared = {"JOB_ID": "77", "JOB_NAME": "train", "NNODES": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
        for name, value in {**shared, "NTASKS": str(tasks), **more}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)

    return begin


@pytest.mark.parametrize("more", [{}, {"NTASKS_PER_NODE": "1", "STEP_ID": "0"}], ids=["sbatch", "submitit"])
def test_in_a_job_of_one_task_lightning_starts_the_others(toy, job, monkeypatch, more) -> None:
    built = []
    monkeypatch.setattr(Work, "run", lambda work: built.append(work.trainer))
    job(1, **more)
    assert toy(*TWO) == 0
    (trainer,) = built
    environment = trainer.strategy.cluster_environment
    environment.validate_settings(num_devices=2, num_nodes=1)
    assert trainer.world_size == 2 and not environment.creates_processes_externally
    monkeypatch.setenv("LOCAL_RANK", "1")  # in a process that it has started
    assert console.rank() == 1 and not console.is_main_process()


@pytest.mark.parametrize(("more", "told"), [
    (PER_NODE, ["only srun starts"]),
    (SRUN, ["Use --ntasks-per-node=4"]),
    ({"NNODES": "2"}, ["only srun starts", "Use --ntasks-per-node=2"]),
])
def test_tasks_that_cannot_find_each_other_are_refused(toy, job, capsys, monkeypatch, more, told) -> None:
    job(4, **more)
    assert toy("trainer.devices=4") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "SLURM_NTASKS=4: " in line]
    assert all(words in line for line, words in zip(lines, told, strict=True)) and not toy.output.exists()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    tasks.check()  # torchrun starts the tasks of a node


def test_an_interactive_job_starts_its_own_processes(toy, job) -> None:
    job(4, JOB_NAME="interactive")
    assert toy("trainer.max_epochs=1") == 0


@pytest.mark.parametrize(("count", "trainer", "told"), [
    (4, {"devices": 2}, "trainer.devices=2: the job has SLURM_NTASKS_PER_NODE=4, and every device needs a task. "
                        "Use trainer.devices=4, or --ntasks-per-node=2"),
    (4, {"devices": [0, 1]}, "or --ntasks-per-node=2"),
    (4, {"devices": 4, "num_nodes": 2}, "Use trainer.num_nodes=1, or --nodes=2"),
    (1, {"devices": 4, "num_nodes": 2}, "trainer.num_nodes=2: this job has one task"),
    (4, {"devices": 4}, ""),
    (4, {"devices": "auto", "accelerator": "gpu"}, ""),
    (1, {"devices": 4}, ""),
])
def test_each_device_needs_a_task_or_all_have_one(job, count, trainer, told) -> None:
    job(count, NTASKS_PER_NODE=str(count), **SRUN)
    try:
        tasks.check_devices(trainer)
        found = ""
    except tasks.Problems as error:
        found = str(error)
    assert told in found and bool(told) == bool(found)
