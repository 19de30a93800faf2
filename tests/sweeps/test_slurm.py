"""Jobs of a sweep on a SLURM cluster: restarted, lost, and waited for by a process that goes on with the sweep."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from src.sweeps.slurm_job import Task
from tests.sweeps.conftest import Sweeps
from tests.sweeps.fake_slurm import Cluster

pytest.importorskip("submitit")
ON = ["hydra/launcher=submitit_slurm", "hydra.launcher.setup=[]"]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    from src.sweeps import queue

    monkeypatch.setattr(queue, "LOOK", 1)
    monkeypatch.setattr(queue.SlurmJob, "_results_timeout_s", 1)  # seconds that a slow file system has
    return Cluster(tmp_path / "cluster", monkeypatch)


def when_started(sweeps: Sweeps, cluster: Cluster, act: Callable[[int], None]) -> threading.Thread:
    """Do something with the first job as soon as its run has begun."""
    def wait() -> None:
        cluster.wait_for(1, sweeps.output / "sweep" / "000_seed-0" / "starts.txt")
        act(1)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def starts(folder: Path) -> list[list[str]]:
    """How each job was started each time."""
    return [[line.split()[0] for line in file.read_text().splitlines()] for file in sorted(folder.glob("*/starts.txt"))]


def statuses(folder: Path) -> list[str]:
    return [job["status"] for job in json.loads((folder / "sweep.json").read_text())["jobs"]]


def test_jobs_are_submitted_and_their_ends_are_told(sweeps, cluster) -> None:
    assert sweeps("-m", "seed=0,1", *ON, "method.fail_at=null,0", "trainer=gpu", "trainer.devices=4") == 1
    assert [row["status"] for row in sweeps.rows()] == ["finished", "failed"] * 2
    assert {"#SBATCH --nodes=1", "#SBATCH --ntasks-per-node=4", "#SBATCH --gpus-per-node=4"} < set(cluster.script(1))
    cluster.wait_until_empty()


def test_numbers_of_the_queue_are_checked(sweeps, capsys) -> None:
    words = ["-m", "seed=0,1", "hydra/launcher=submitit_local"]
    for wrong in ("n_jobs=-1", "cpus_per_task=0", "gpus_per_node=-1"):
        assert sweeps(*words, f"hydra.launcher.{wrong}") == 2
        assert f"hydra.launcher.{wrong}: must be" in capsys.readouterr().err
    assert sweeps(*words, "trainer=gpu", "trainer.devices=4", "hydra.launcher.gpus_per_node=2") == 2
    assert "hydra.launcher.gpus_per_node=2: a job has trainer.devices=4" in capsys.readouterr().err
    assert not sweeps.output.exists()


def test_a_job_that_is_queued_again_is_not_over(sweeps, cluster) -> None:
    folder = sweeps.output / "sweep"
    thread = when_started(sweeps, cluster, cluster.start_again)
    assert sweeps("-m", "seed=0,1", *ON, "method.delay=2", f"sweep_dir={folder}") == 0
    thread.join()
    assert (starts(folder), statuses(folder)) == ([["fresh", "resumed"], ["fresh"]], ["finished"] * 2)


@pytest.mark.parametrize(("typed", "told"), [
    (["trainer=gpu", "trainer.devices=1,4"], "trainer.devices=1,4"),
    (["trainer=gpu,cpu"], "trainer.accelerator=gpu,cpu"),
    (["trainer=gpu", "trainer.num_nodes=1,2"], "trainer.num_nodes=1,2"),
    (["trainer=gpu", "experiment=several,alone"], "trainer.devices=4,1"),
])
def test_jobs_of_different_sizes_are_refused(sweeps, cluster, capsys, tmp_path, typed: list[str], told: str) -> None:
    recipes = tmp_path / "conf" / "experiment"
    recipes.mkdir(parents=True)
    for name, devices in {"several": 4, "alone": 1}.items():
        (recipes / f"{name}.yaml").write_text(f"# @package _global_\ntrainer:\n  devices: {devices}\n")
    assert sweeps("--config-dir", str(recipes.parent), "-m", *ON, *typed) == 2
    assert f"error: {told}: all jobs of a sweep ask the queue for the same devices" in capsys.readouterr().err
    assert not sweeps.output.exists()


def test_tasks_of_a_job_start_its_run_alike(tmp_path, monkeypatch) -> None:
    folder, log = tmp_path / "run", tmp_path / "log"
    task = Task(lambda: ["sh", "-c", f"mkdir -p {folder}; echo {'resumed' if folder.exists() else 'fresh'}"], log, 0)
    assert task() == task() == 0  # the second is late
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert task() == 0 and log.read_text().split() == ["fresh", "fresh", "resumed"]


def test_a_job_that_is_lost_is_told(sweeps, cluster) -> None:
    """Its node dies, or it is cancelled: it leaves the queue, and no result is left behind."""
    folder = sweeps.output / "sweep"
    thread = when_started(sweeps, cluster, cluster.lose)
    assert sweeps("-m", "seed=0,1", *ON, "method.delay=2", f"sweep_dir={folder}") == 1
    thread.join()
    assert statuses(folder) == ["failed", "finished"]


def test_a_continued_sweep_waits_for_what_is_in_the_queue(sweeps, cluster, capfd) -> None:
    folder = sweeps.output / "sweep"
    child = os.fork()
    if not child:
        sweeps("-m", "seed=0,1", *ON, "method.delay=3", f"sweep_dir={folder}")
        os._exit(0)
    cluster.wait_for(2, folder / "001_seed-1" / "starts.txt")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert sweeps(f"resume={folder}", *ON) == 0
    assert "is in the queue from before, as job 1" in capfd.readouterr().out
    assert (starts(folder), statuses(folder)) == ([["fresh"], ["fresh"]], ["finished"] * 2)
