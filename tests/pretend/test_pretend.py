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


def on_device(file: Path, *runs: list[str], seconds: float = 300) -> dict[str, int]:
    """Where the host waited in runs one after the other; each has to end well."""
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


def test_a_classifier_trains_there_and_waits_for_nothing_between_its_steps(tmp_path: Path):
    options = ["--config-dir", str(CONF / "pskd/conf"), "experiment=quarters", "method.epochs=2"]
    averaged = ["method=pskd", "method.ema_decay=0.9"]
    mixed = ["method=pskd", "method.mixing=cutmix", "method.mixing_probability=0.5"]
    others = [[*mixed, "method.loss.memory=snapshot"], ["method=pskd", "method.loss.memory=sharded"],
              ["method=pskd", "method.loss.memory=topk"], ["method=pskd", "method.loss.memory=memmap"], ["method=cskd"]]
    waits = on_device(tmp_path / "waits.json", *([*options, f"output_dir={tmp_path}", *other] for other in others),
                      [*options, f"output_dir={tmp_path / 'device'}", *averaged])
    first_step = "item in core/averaging.py update_parameters"
    assert in_loops(waits, "advance") == {
        first_step, "_to_copy in methods/pskd/memory/memmap.py _to_host"}  # CUDA has a way that does not wait
    assert waits[f"advance: {first_step}"] == 2  # PyTorch's own asks twice, at a training's first step alone
    assert run([*options, f"output_dir={tmp_path / 'host'}", *averaged]) == 0
    assert figures(tmp_path / "device") == pytest.approx(figures(tmp_path / "host"), rel=1e-3, abs=1e-4)


def test_b2_trains_there_and_its_loops_wait_for_nothing(sd_folder: Path, tmp_path: Path):
    options = ["--config-dir", str(CONF / "b2diffurl/conf"), "experiment=standin", f"model.path={sd_folder}",
               "reward=jpeg_compressibility", "objective=dpok", "objective.kl_weight=0.1", "method.replay=always",
               "method.stages=1", "method.eval_prompts=1", "method.eval_images=1", "method.curve_images=1"]
    waits = on_device(tmp_path / "waits.json", [*options, f"output_dir={tmp_path / 'device'}"])
    assert waits and not in_loops(waits, *LOOPS)
    assert run([*options, f"output_dir={tmp_path / 'host'}"]) == 0
    assert figures(tmp_path / "device") == pytest.approx(figures(tmp_path / "host"), rel=1e-2)  # a JPEG's bytes jump


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
    assert not in_loops(waits, *LOOPS)
