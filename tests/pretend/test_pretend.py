"""Both methods from start to end on a device that is not the host's: what a GPU refuses, and where it is waited for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch.utils import backend_registration

from src.run import run

ROOT = Path(__file__).parents[2]
CONF = ROOT / "tests/methods"
NEEDED = "_setup_privateuseone_for_python_backend"

pytestmark = pytest.mark.skipif(not hasattr(backend_registration, NEEDED), reason="needs backends in Python")


def on_device(file: Path, *runs: list[str], seconds: float = 300) -> dict[str, int]:
    """Where the host waited in runs one after the other; each has to end well."""
    options = [option for one in runs for option in ("--", *one)]
    done = subprocess.run([sys.executable, "-m", "tests.pretend", str(file), *options], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    assert done.returncode == 0, done.stdout
    return json.loads(file.read_text())


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
    assert in_loops(waits, "advance") == {
        "item in core/averaging.py update_parameters",  # a training's first step
        "_to_copy in methods/pskd/memory/memmap.py _to_host"}  # CUDA has a way that does not wait
    assert run([*options, f"output_dir={tmp_path / 'host'}", *averaged]) == 0
    assert figures(tmp_path / "device") == pytest.approx(figures(tmp_path / "host"), rel=1e-3, abs=1e-4)


def test_b2_trains_there_and_its_loops_wait_for_nothing(sd_folder: Path, tmp_path: Path):
    options = ["--config-dir", str(CONF / "b2diffurl/conf"), "experiment=standin", f"model.path={sd_folder}",
               "reward=jpeg_compressibility", "objective=dpok", "objective.kl_weight=0.1", "method.replay=always",
               "method.stages=1", "method.eval_prompts=1", "method.eval_images=1", "method.curve_images=1"]
    waits = on_device(tmp_path / "waits.json", [*options, f"output_dir={tmp_path / 'device'}"])
    assert waits and not in_loops(waits, "training_step", "rollout", "replayed", "with_reference")
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
    assert not in_loops(waits, "training_step", "rollout", "replayed", "with_reference")
