"""Which of a SLURM job's tasks are a run's processes, and which jobs are refused."""

from __future__ import annotations

import pytest

from src.core.processes import tasks

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
