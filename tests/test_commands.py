"""Every command line that a page or a script of the project names composes, with keys that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.composing import ROOT, problems

PAGES = [ROOT / "README.md", *sorted((ROOT / "experiments").rglob("*.md"))]
COMMAND = re.compile(r"(?:python|torchrun [^`\n]*) -m src\.run ([^`|\n]+)")
# Shown for its answer, or with a folder that is the reader's.
ON_PURPOSE = ("method=b2difurl", "--config-dir", "--help", "<")


def words_of(text: str) -> list[str]:
    """The overrides of a run; of several runs those of the first."""
    words = shlex.split(text, comments=True)
    several = any(word == "-m" or word.startswith("sweep=") for word in words)
    first = [re.sub(r"=([^\[{,]+),.*", r"=\1", word) if several else word for word in words]
    return [word for word in first if not word.startswith("-")]


def documented() -> dict[str, list[str]]:
    found = {}
    for page in PAGES:
        for text in COMMAND.findall(page.read_text()):
            if not any(part in text for part in ON_PURPOSE):
                words = words_of(text)
                found[" ".join(words)] = words
    return found


COMMANDS = documented()


def test_the_pages_were_read() -> None:
    assert len(COMMANDS) > 50
    assert words_of("-m seed=0,1 'a={b:1,c:2}' d=[1,2]  # several") == ["seed=0", "a={b:1,c:2}", "d=[1,2]"]


@pytest.fixture(scope="module")
def answers() -> dict[str, list[str]]:
    return dict(zip(COMMANDS, problems(list(COMMANDS.values()))[0], strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_documented_command_composes(answers, command: str) -> None:
    assert answers[command] == []


@pytest.mark.parametrize("script", sorted((ROOT / "experiments").rglob("*.sbatch")), ids=lambda path: path.stem)
def test_what_a_batch_script_starts_composes(script: Path, tmp_path: Path) -> None:
    """On two nodes with four tasks each, as `srun` is given it."""
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    job = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "4"}
    done = subprocess.run(["bash", script, "model=sd15", "seed=3"], capture_output=True, text=True, check=True,
                          env={**os.environ, **job, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    *_, words = done.stdout.partition("src.run\n")
    overrides = words.split()
    assert {"trainer.devices=4", "trainer.num_nodes=2", "model=sd15", "seed=3"} <= set(overrides)
    assert problems([overrides])[0] == [[]]
