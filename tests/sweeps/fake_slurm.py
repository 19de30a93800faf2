"""Stands in for a SLURM cluster: `sbatch` keeps a copy of the script and starts it, `squeue` lists what is not over.

A job is over when its script has ended, unless it is to be started again, as after `scontrol requeue`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

SBATCH = """#!/bin/sh
number=1
while ! mkdir {jobs}.given/$number 2> /dev/null; do number=$((number + 1)); done
mkdir {jobs}/$number
export SLURM_JOB_ID=$number SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1
export SLURM_JOB_NODELIST=here
for word; do script=$word; done
cp "$script" {jobs}.given/$number/script
script={jobs}.given/$number/script
(
  bash "$script"
  while rm {jobs}/$number/again 2> /dev/null; do SLURM_RESTART_COUNT=1 bash "$script"; done
  rm -r {jobs}/$number
) > /dev/null 2>&1 &
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do
  case $1 in --output | --error) shift ;; esac
  shift
done
echo $$ > {jobs}/$SLURM_JOB_ID/task
exec "$@"
"""
SQUEUE = """#!/bin/sh
ls {jobs}
"""


class Cluster:
    """Its jobs, by the numbers that it gave them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs = folder / "jobs"
        self.jobs.mkdir(parents=True)
        (folder / "jobs.given").mkdir()
        for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("squeue", SQUEUE)):
            (folder / name).write_text(text.format(jobs=self.jobs))
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def script(self, number: int) -> list[str]:
        """The lines that a job was submitted with."""
        return (self.jobs.with_name("jobs.given") / str(number) / "script").read_text().splitlines()

    def wait_for(self, number: int, file: Path) -> None:
        """Until a job has written a file."""
        end = time.monotonic() + 60
        while not (file.is_file() and (self.jobs / str(number) / "task").is_file()):
            assert time.monotonic() < end
            time.sleep(0.05)

    def wait_until_empty(self) -> None:
        """A job's result is there a moment before its script has ended."""
        end = time.monotonic() + 60
        while list(self.jobs.iterdir()):
            assert time.monotonic() < end
            time.sleep(0.05)

    def start_again(self, number: int) -> None:
        """As for a more urgent job: it is told to end, and started once more."""
        (self.jobs / str(number) / "again").touch()
        self.signal(number, signal.SIGTERM)

    def signal(self, number: int, signum: int) -> None:
        """Only the task itself hears it, as where control groups tell what belongs to a job."""
        os.kill(self._task(number), signum)

    def lose(self, number: int) -> None:
        """As when its node dies."""
        task = self._task(number)
        children = Path(f"/proc/{task}/task/{task}/children").read_text().split()
        for process in (task, *map(int, children)):
            os.kill(process, signal.SIGKILL)

    def _task(self, number: int) -> int:
        return int((self.jobs / str(number) / "task").read_text())
