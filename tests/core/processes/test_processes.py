"""Runs of several processes: who starts them, and how they end when one of them does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.core.conftest import Runner
from tests.processes import ROOT, free_port

pytestmark = pytest.mark.slow
LONG = 300  # seconds; most of it is the time to import torch and Lightning
TWO = ["trainer.devices=2", "trainer.strategy=ddp"]


class Started:
    """A command line in a process group of its own."""

    def __init__(self, words: list[str], **environment: str) -> None:
        given = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self.process = subprocess.Popen(words, cwd=ROOT, env=given, text=True, start_new_session=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def end(self) -> tuple[int, str]:
        """Exit code and everything that was printed, by its children too: they are gone when this returns."""
        told, _ = self.process.communicate(timeout=LONG)
        return self.process.returncode, told

    def children(self) -> list[int]:
        """Process ids of the other ranks."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in found if b"src.run" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts commands; what is left of them at the end is killed."""
    started: list[Started] = []

    def begin(words: list[str], **environment: str) -> Started:
        started.append(Started(words, **environment))
        return started[-1]

    yield begin
    for item in started:
        try:
            os.killpg(item.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def command(toy: Runner, *overrides: str) -> list[str]:
    return ["-m", "src.run", *toy.arguments(*overrides)]


def finished(toy: Runner) -> dict[str, Any]:
    """metrics.json of the only run, which was carried out by two processes to its end."""
    assert yaml.safe_load((toy.folder / "config.yaml").read_text())["run_dir"] == str(toy.folder)
    return json.loads((toy.folder / "metrics.json").read_text())


def test_torchrun_without_a_folder(toy, start) -> None:
    """All ranks write to the folder that the first one named, and `resume=auto` is the same run for all."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
                str(free_port())]
    code, told = start([*torchrun, *command(toy, *TWO)]).end()
    assert code == 0, told
    assert finished(toy)["status"] == "finished"


def test_srun_without_a_folder(toy, start) -> None:
    shared = {"SLURM_JOB_ID": str(10000 + free_port() % 10000), "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2",
              "SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "127.0.0.1", "SLURM_JOB_NAME": "train",
              "SLURM_STEP_ID": "0"}
    tasks = [start([sys.executable, *command(toy, *TWO)], **shared, SLURM_PROCID=str(task), SLURM_LOCALID=str(task))
             for task in range(2)]
    ends = [task.end() for task in tasks]
    assert [code for code, _ in ends] == [0, 0], ends
    assert finished(toy)["status"] == "finished"


def test_a_rank_that_fails_ends_the_run_with_its_message(toy, start) -> None:
    began = start([sys.executable, *command(toy, *TWO, "method.fail_at=2", "method.fail_rank=1", "method.delay=0.5")])
    code, told = began.end()
    assert code == 1 and "rank 1: RuntimeError: the toy broke" in told, told
    assert "Starting 2 processes" in told
    assert json.loads((toy.folder / "metrics.json").read_text())["status"] == "failed"
    assert "the toy broke" in (toy.folder / "error_rank1.log").read_text()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_warning_that_only_one_rank_hears_stops_all_and_queues_the_job_again(toy, start, tmp_path, rank: int) -> None:
    """In a job of one task, as `sbatch --ntasks=1` and submitit start it: the other rank is Lightning's."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "asked"}\n')
    scontrol.chmod(0o755)
    began = start([sys.executable, *command(toy, *TWO, "method.delay=0.2", "trainer.max_epochs=1000")],
                  PATH=f"{scontrol.parent}:{os.environ['PATH']}", SLURM_JOB_ID="77", SLURM_JOB_NAME="train",
                  SLURM_NTASKS="1", SLURM_NTASKS_PER_NODE="1", SLURM_NNODES="1", SLURM_PROCID="0", SLURM_LOCALID="0",
                  SLURM_NODEID="0", SLURM_STEP_ID="0")
    wait_for_a_checkpoint(toy, began)
    (child,) = began.children()
    os.kill(child if rank else began.process.pid, signal.SIGUSR1)
    code, told = began.end()
    assert code == 138, told
    assert (tmp_path / "asked").read_text() == "requeue 77\n"
    assert json.loads((toy.folder / "metrics.json").read_text())["status"] == "interrupted"


def wait_for_a_checkpoint(toy: Runner, began: Started) -> None:
    deadline = time.monotonic() + LONG
    while not (toy.output.is_dir() and toy.folders and (toy.folder / "checkpoints" / "last.ckpt").is_file()):
        assert time.monotonic() < deadline and began.process.poll() is None
        time.sleep(0.2)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_run_within_a_minute(toy, start, rank: int) -> None:
    began = start([sys.executable, *command(toy, *TWO, "method.delay=1", "trainer.max_epochs=1000")])
    wait_for_a_checkpoint(toy, began)
    (child,) = began.children()
    os.kill(child if rank else began.process.pid, signal.SIGKILL)
    killed = time.monotonic()
    code, told = began.end()  # its output is closed when the last of both has ended
    assert time.monotonic() - killed < 60
    assert code == (1 if rank else -signal.SIGKILL)
    if rank:
        assert "rank 1 was ended by SIGKILL" in told, told
        assert json.loads((toy.folder / "metrics.json").read_text())["status"] == "failed"
