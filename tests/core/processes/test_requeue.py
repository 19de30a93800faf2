"""A job that SLURM takes away is queued again where it should be, and goes on in its folder."""

import os
import signal
from pathlib import Path

import pytest

from src.core import console, signals
from src.core.processes import slurm
from tests.core.test_resume import outcome
from tests.core.toy import Toy


def job_77(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str = "") -> Path:
    """This process as a job of SLURM, whose scontrol notes in a file what it is asked."""
    asked, scontrol = tmp_path / "asked", tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {asked}\necho "{says}"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    return asked


def test_a_slurm_job_that_is_queued_again_goes_on_in_its_folder(toy, tmp_path, monkeypatch):
    """SIGUSR1 stops and requeues it; then the very same command line continues, and does nothing once it is done."""
    whole = tmp_path / "whole"
    assert toy(f"run_dir={whole}") == 0
    asked = job_77(tmp_path, monkeypatch)
    assert toy("seed=5", "trainer.max_epochs=1") == 0  # a run of the same job with other overrides
    other = toy.folder
    warn = signals.REQUEUE
    monkeypatch.setattr(Toy, "training_step", once(Toy.training_step, 8, lambda: signal.raise_signal(warn)))
    assert toy() == 138
    folder = next(path for path in toy.folders if path != other)
    assert asked.read_text() == "requeue 77\n"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert toy() == 0
    assert outcome(folder) == outcome(whole) and len(toy.folders) == 2
    written = (folder / "metrics.json").read_bytes()
    assert toy() == 0
    assert (folder / "metrics.json").read_bytes() == written and len(toy.folders) == 2
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    assert toy() == 0 and len(toy.folders) == 3


JOB = "JobId=77 JobName=train\n   JobState={} Reason=None\n   PreemptEligibleTime=2026-11-23T09:16:21 {}"


@pytest.mark.parametrize(("state", "preempted", "asks"), [
    ("RUNNING", "PreemptTime=2026-11-23T09:16:26", True),  # within its grace time; SLURM forgets it if it ends
    ("RUNNING", "PreemptTime=None", False),  # somebody's SIGTERM
    ("CANCELLED", "PreemptTime=2026-11-23T09:16:26", False),
])
def test_a_preempted_job_is_queued_again_and_a_cancelled_one_is_not(toy, tmp_path, monkeypatch, state, preempted, asks):
    asked = job_77(tmp_path, monkeypatch, says=JOB.format(state, preempted))
    assert toy("method.stop_at=8") == 143
    assert asked.read_text().splitlines() == ["show job 77", *["requeue 77"] * asks]


@pytest.mark.parametrize(("main", "code", "asks"), [(True, 138, [0]), (False, 0, [])])
def test_srun_does_not_end_the_process_that_has_its_job_queued_again(toy, monkeypatch, main, code, asks):
    """`srun --kill-on-bad-exit` ends all tasks as soon as one has failed, maybe while the first one asks."""
    def stop(*_):
        signal.raise_signal(signals.REQUEUE)
        monkeypatch.setattr(console, "is_main_process", lambda: main)

    asked = []
    monkeypatch.setattr(slurm, "requeue", lambda: asked.append(console.rank()))
    monkeypatch.setattr(Toy, "training_step", stop)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert toy() == code and asked == asks


def test_a_requeued_job_with_a_named_folder_goes_on_there(toy, tmp_path, monkeypatch):
    job_77(tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    run = f"run_dir={tmp_path / 'run'}"
    assert toy(run, "method.stop_at=8") == 143
    assert (tmp_path / "run" / "slurm_job.txt").read_text() == "4_3\n"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert toy(run, "method.stop_at=8") == 143
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert toy(run, "method.stop_at=8") == 2  # another task's folder


def test_an_evaluation_of_a_requeued_job_starts_anew_in_its_folder(toy, tmp_path, monkeypatch, metrics, capsys):
    run, other = tmp_path / "run", tmp_path / "other"
    job_77(tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    assert toy("mode=eval", f"run_dir={run}") == 0
    assert toy("mode=eval", f"run_dir={run}") == 2  # the second of two in one job
    assert toy("mode=eval", "seed=1", f"run_dir={other}") == 0
    (run / "metrics.json").write_text((run / "metrics.json").read_text().replace("finished", "running"))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert toy("mode=eval", f"run_dir={run}") == 0
    assert metrics(run)["status"] == "finished"
    capsys.readouterr()
    assert toy("mode=eval", f"run_dir={run}") == 0
    assert "finished already" in capsys.readouterr().out
    assert toy("mode=eval", f"run_dir={other}") == 2  # with another seed


def once(original, call, action):
    """`original`, with `action` before its call of that number."""
    counted = iter(range(call))

    def watched(*args, **options):
        if next(counted, None) == call - 1:
            action()
        return original(*args, **options)

    return watched
