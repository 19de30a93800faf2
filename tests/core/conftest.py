"""A way to run the toy method in this process, into a folder of the test."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.core.compose import ROOT
from src.run import run

CONF = Path(__file__).parent / "conf"


class Runner:
    """Runs command lines for the toy method; ``output`` is their output_dir."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def arguments(self, *overrides: str) -> list[str]:
        """The full command line."""
        return ["--config-dir", str(CONF), "method=toy", f"output_dir={self.output}", *overrides]

    def __call__(self, *overrides: str) -> int:
        return run(self.arguments(*overrides))

    def start(self, *overrides: str, **environment: str) -> subprocess.Popen[str]:
        """The same in a process of its own."""
        command = [sys.executable, "-m", "src.run", *self.arguments(*overrides)]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, "OMP_NUM_THREADS": "1", **environment})

    @property
    def folders(self) -> list[Path]:
        """Run folders, oldest first."""
        return sorted((self.output / "runs").glob("*"))

    @property
    def folder(self) -> Path:
        """The only run folder."""
        (only,) = self.folders
        return only


def summary(folder: Path) -> dict[str, Any]:
    """metrics.json of a run."""
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def toy(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "outputs")


@pytest.fixture
def metrics() -> Callable[[Path], dict[str, Any]]:
    return summary
