"""A way to run the toy method in this process, into a folder of the test."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

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

    def start(self, log: Path, *overrides: str) -> int:
        """The same in a process of its own, whose output goes to ``log``; its process id.

        Forked, because importing torch and Lightning anew takes longer than all the rest.
        """
        process = os.fork()
        if process == 0:
            code = 1
            with log.open("w", buffering=1) as sys.stdout:
                sys.stderr = sys.stdout
                torch.set_num_threads(1)
                with contextlib.suppress(BaseException):
                    code = self(*overrides)
            os._exit(code)
        return process

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


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The toy is too small to share; waiting threads only slow it down on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def toy(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "outputs")


@pytest.fixture
def metrics() -> Callable[[Path], dict[str, Any]]:
    return summary
