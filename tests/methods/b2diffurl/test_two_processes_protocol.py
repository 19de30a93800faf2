"""mode=protocol on several processes finds what one finds, also where they have unequal numbers of tasks or none."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.run import run
from tests.methods.b2diffurl.conftest import summary
from tests.processes import ROOT

pytestmark = pytest.mark.slow
# Of 9 pictures a list of prompts: 5 batches each, which three processes share as 4, 4 and 2; and 2 batches for the KL.
SIZES = ["debug=tiny", "method.stages=1", "trainer.max_epochs=1", "method.eval_prompts=3", "method.eval_images=3",
         "method.rollout_batch=2"]


def by_several(count: int, trained: Path, folder: Path, *overrides: str) -> str:
    """What was said by a protocol of `count` processes, as Lightning starts them."""
    command = [sys.executable, "-m", "src.run", "mode=protocol", f"ckpt={trained}", f"run_dir={folder}", *SIZES,
               f"trainer.devices={count}", "trainer.accelerator=cpu", *overrides]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protocol") / "trained"
    assert run([*SIZES, "method.stages=1", f"run_dir={folder}", f"output_dir={folder.parent}"]) == 0
    return folder


@pytest.fixture(scope="module")
def one(trained: Path) -> Path:
    """The protocol of one process; what it keeps in the evaluated run's folder is moved away."""
    folder = trained.parent / "one"
    assert run(["mode=protocol", f"ckpt={trained}", f"run_dir={folder}", *SIZES]) == 0
    (trained.parent / "kept").mkdir()
    shutil.move(trained / "protocol", trained.parent / "kept" / "protocol")
    return folder


def equal(folder: Path, one: Path) -> None:
    """All figures, by the state and list of prompts they stand for, and all files."""
    rows, expected = (list(csv.DictReader((place / "protocol.csv").open(newline=""))) for place in (folder, one))
    assert [row["state"] for row in rows] == ["base", "base", "final", "final"] and len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys() >= {"clip_vendi", "verifier_is", "latent_vendi", "kl_base"}
        for name in row.keys() - {"run", "state", "prompts"}:
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4, abs=1e-6), (row["state"], name)
    names = [{file.relative_to(place) for file in place.rglob("*.*")} for place in (folder, one)]
    assert names[0] == names[1] and summary(folder)["status"] == "finished"


def test_three_processes_equal_one(trained: Path, one: Path) -> None:
    """Then one of them, which has no task, only helps: they go on with the state that is missing. Other batches round
    otherwise, by less than what is compared."""
    by_several(3, trained, trained.parent / "three")
    equal(trained.parent / "three", one)
    base, final = sorted(trained.glob("protocol/*/*.json"))
    names = [{file.name for file in folder.glob("protocol/*/*")} for folder in (trained, trained.parent / "kept")]
    assert base.stem == "base" and names[0] == names[1]
    when = base.stat().st_mtime_ns
    final.unlink()  # as if the protocol had been interrupted there
    assert "1 to evaluate" in by_several(3, trained, trained.parent / "idle", "method.rollout_batch=9")
    equal(trained.parent / "idle", one)
    assert final.is_file() and base.stat().st_mtime_ns == when
