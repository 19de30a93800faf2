"""Both methods from start to end on a device that is not the host's: what a GPU refuses, and where it is waited for."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch.utils import backend_registration

from src.methods.b2diffurl.reference import with_reference
from src.methods.b2diffurl.sampling import rollout
from src.methods.b2diffurl.update import replayed
from src.methods.b2diffurl.updating import Updating
from src.run import run

ROOT = Path(__file__).parents[2]
CONF = ROOT / "tests/methods"
LOOPS = ("rollout", "replayed", "with_reference", "training_step")
NEEDED = "_setup_privateuseone_for_python_backend"

pytestmark = pytest.mark.skipif(not hasattr(backend_registration, NEEDED), reason="needs backends in Python")


def on_device(file: Path, *runs: list[str], seconds: float = 300) -> list[dict[str, int]]:
    """Where the host waited in each of these runs, one after the other; all have to end well."""
    options = [option for one in runs for option in ("--", *one)]
    done = subprocess.run([sys.executable, "-m", "tests.pretend", str(file), *options], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    assert done.returncode == 0, done.stdout
    return json.loads(file.read_text())


def test_loops_have_the_names_by_which_they_are_known():
    assert [loop.__name__ for loop in (rollout, replayed, with_reference, Updating.training_step)] == list(LOOPS)
    assert _TrainingEpochLoop.advance.__code__.co_filename.endswith("training_epoch_loop.py")
    for loop, file in ((rollout, "sampling"), (replayed, "update"), (with_reference, "reference"),
                       (Updating.training_step, "updating")):
        assert Path(inspect.unwrap(loop).__code__.co_filename).stem == file


def in_loops(waits: dict[str, int], *loops: str) -> set[str]:
    return {place.partition(": ")[2] for place in waits if place.partition(":")[0] in loops}


def figures(output: Path) -> dict[str, Any]:
    found = json.loads((output / "latest" / "metrics.json").read_text())
    return {name: value for name, value in found.items() if "/" in name and "seconds" not in name}


CLASSIFIER = ["--config-dir", str(CONF / "pskd/conf"), "experiment=quarters", "method.epochs=2"]
AVERAGED = [*CLASSIFIER, "method=pskd", "method.ema_decay=0.9"]
MIXED = ["method=pskd", "method.mixing=cutmix", "method.mixing_probability=0.5", "method.loss.memory=snapshot"]
OTHERS = [MIXED, ["method=cskd"], *(["method=pskd", f"method.loss.memory={kind}"] for kind in ("sharded", "topk"))]
FILE = [*CLASSIFIER, "method=pskd", "method.loss.memory=memmap"]
B2 = ["--config-dir", str(CONF / "b2diffurl/conf"), "experiment=standin", "reward=jpeg_compressibility",
      "objective=dpok", "objective.kl_weight=0.1", "method.replay=always", "method.stages=1", "method.eval_prompts=1",
      "method.eval_images=1", "method.curve_images=1"]


@pytest.fixture(scope="module")
def seen(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, int]]]:
    """A folder of runs on the device, all in one process, and their waits: B2, averaged weights, a file."""
    folder = tmp_path_factory.mktemp("device")
    runs = {"b2": [*B2, f"model.path={sd_folder}"], "averaged": AVERAGED, "file": FILE}
    return folder, on_device(folder / "waits.json", *([*one, f"output_dir={folder / name}"]
                                                      for name, one in runs.items()))


def test_classifiers_wait_for_nothing_between_their_steps(seen, tmp_path: Path):
    folder, (_, averaged, file) = seen
    first_step = "item in core/averaging.py update_parameters"
    assert in_loops(averaged, "advance") == {first_step}
    assert averaged[f"advance: {first_step}"] == 2  # PyTorch's own asks twice, at a training's first step alone
    assert in_loops(file, "advance") == {"_to_copy in methods/pskd/memory/memmap.py _to_host"}  # CUDA's way does not
    assert run([*AVERAGED, f"output_dir={tmp_path}"]) == 0
    assert figures(folder / "averaged") == pytest.approx(figures(tmp_path), rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_other_losses_and_memories_wait_for_nothing_either(tmp_path: Path):
    waits = on_device(tmp_path / "waits.json", *([*CLASSIFIER, *other, f"output_dir={tmp_path}"] for other in OTHERS))
    assert len(waits) == len(OTHERS) and not any(in_loops(one, "advance") for one in waits)


def test_b2s_loops_wait_for_nothing(seen, sd_folder: Path, tmp_path: Path):
    folder, (waits, *_) = seen
    assert waits and not in_loops(waits, *LOOPS)
    assert run([*B2, f"model.path={sd_folder}", f"output_dir={tmp_path}"]) == 0
    assert figures(folder / "b2") == pytest.approx(figures(tmp_path), rel=1e-2)  # a JPEG's bytes jump


@pytest.mark.slow
def test_everything_else_runs_there_too(tmp_path: Path):
    output = [f"output_dir={tmp_path}", "trainer=cpu", "logger=csv"]
    quarters = ["--config-dir", str(CONF / "pskd/conf"), "experiment=quarters", *output]
    tiny = ["debug=tiny", *output]
    classifiers = [["method=label_smoothing"], ["method=tfkd"], ["method=crossentropy_scaled"]]
    parts = [[f"method=tiny_{part}", f"method.weights={tmp_path / part}", *tiny]
             for part in ("verifier", "clip", "autoencoder", "unet")]
    stages = [["method=d3po", "method.micro_batch=auto", "method.rollout_batch=auto"], ["objective=grpo"],
              ["mode=protocol", "ckpt=latest"], ["mode=eval", "ckpt=latest"],
              ["mode=sample", "ckpt=latest", "prompts=[a red circle above a blue square]"]]
    waits = on_device(tmp_path / "waits.json", *([*quarters, *one] for one in classifiers), *parts,
                      *([*one, *tiny] for one in stages), seconds=1200)
    assert not any(in_loops(one, *LOOPS) for one in waits)
