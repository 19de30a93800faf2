"""Sweeps over runs that start in no time."""

import csv
import json
import os
import sys
import time
from pathlib import Path

import pytest

from src.sweeps import commands
from tests.core.conftest import Runner


class Sweeps(Runner):
    """Runs command lines of sweeps; ``folder`` is the only sweep's."""

    @property
    def folders(self) -> list[Path]:
        """Folders of sweeps, oldest first."""
        return sorted((self.output / "sweeps").glob("*"))

    def record(self) -> dict:
        """sweep.json."""
        return json.loads((self.folder / "sweep.json").read_text())

    def rows(self) -> list[dict[str, str]]:
        """results.csv."""
        with (self.folder / "results.csv").open() as stream:
            return list(csv.DictReader(stream))

    def starts(self) -> list[list[str]]:
        """Of each job, how it was started each time."""
        return [[line.split()[0] for line in (self.folder / job["folder"] / "starts.txt").read_text().splitlines()]
                for job in self.record()["jobs"]]

    def wait_for(self, process: int, pattern: str, count: int) -> None:
        """Until ``count`` files below the output folder match."""
        end = time.monotonic() + 60
        while len(list(self.output.glob(pattern))) < count:
            assert time.monotonic() < end and os.waitpid(process, os.WNOHANG) == (0, 0)
            time.sleep(0.05)


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    monkeypatch.setattr(commands, "PROGRAM", (sys.executable, "-I", str(Path(__file__).with_name("fake_run.py"))))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return Sweeps(tmp_path / "outputs")
