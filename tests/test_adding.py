"""The examples of src/README.md, taken from it and run in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A file's name in backquotes, and the next block of code.
EXAMPLE = re.compile(r"^`((?:src|conf)/\S+)`.*?^```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the example's files in it."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("src", "conf", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    examples = EXAMPLE.findall((ROOT / "src" / "README.md").read_text())
    assert len(examples) == 6
    for name, text in examples:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("options", "figure"), [
    (["reward=redness", "debug=tiny"], "eval/redness_after"),
    (["objective=reinforce", "debug=tiny"], "eval/clip_after"),
    (["method=line"], "test/loss"),
])
def test_what_the_guide_adds_runs(project: Path, options: list[str], figure: str) -> None:
    command = [sys.executable, "-m", "src.run", *options, "logger=csv", "trainer=cpu"]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False,
                           env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((project / "outputs" / "latest" / "metrics.json").read_text())
    assert found["status"] == "finished" and figure in found
    if options == ["method=line"]:
        assert found[figure] < 0.05 and "train/loss" in ended.stdout
