"""Two processes: one rank is killed, then all of them, and what goes on equals a run that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kills.outcome import differences, outcome
from tests.kills.test_kills import COMMANDS

ROOT = Path(__file__).parents[2]
TWO = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu", "resume=auto"]
PATIENCE = 60  # seconds in which a rank must end after another one was killed


class Runs:
    """One command line, started again and again with the same output folder."""

    def __init__(self, arguments: list[str], output: Path) -> None:
        self.command = [sys.executable, "-m", "src.run", *arguments, *TWO, f"output_dir={output}"]
        self.output, self.log = output, output.with_suffix(".log")

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log,
                                    stderr=log, start_new_session=True)

    def until(self, name: str, run: subprocess.Popen[bytes]) -> None:
        """Wait for a checkpoint."""
        while not list(self.output.glob(f"runs/*/checkpoints/{name}")):
            assert run.poll() is None, self.log.read_text()
            time.sleep(0.02)

    def outcome(self) -> dict:
        (folder,) = (self.output / "runs").iterdir()
        return outcome(folder)


def child_of(process: int) -> int:
    """The process of rank 1, which rank 0 has started."""
    found = subprocess.run(["pgrep", "-P", str(process), "-f", "src.run|src/run"], capture_output=True, text=True,
                           check=True)
    return int(found.stdout.split()[0])


@pytest.mark.slow
@pytest.mark.parametrize("method", COMMANDS)
def test_killed_ranks_end_the_run_which_then_goes_on_exactly(method: str, sd_folder: Path, tmp_path: Path) -> None:
    arguments = COMMANDS[method] + ([f"model.path={sd_folder}"] if method == "b2diffurl" else [])
    whole, killed = Runs(arguments, tmp_path / "whole"), Runs(arguments, tmp_path / "killed")
    assert whole.start().wait() == 0, whole.log.read_text()

    run = killed.start()
    killed.until("last.ckpt", run)
    os.kill(child_of(run.pid), signal.SIGKILL)
    assert run.wait(PATIENCE) == 1
    told = killed.log.read_text()
    assert "a process of this run has ended" in told or "rank 1 was ended by SIGKILL" in told, told
    assert "Continue with" in told

    run = killed.start()
    killed.until("last-prev.ckpt", run)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()

    assert killed.start().wait() == 0, killed.log.read_text()
    assert differences(killed.outcome(), whole.outcome()) == []
