"""Each part of the embedded model trains, is scored and exported through the run that the README names."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from src.core.config import plan
from src.core.errors import Problems
from src.data import shapes
from src.methods.tiny_sd.clip import ClipTraining, change_one, relatives
from src.methods.tiny_sd.verifier import spoil
from src.run import run

PARTS = {
    "verifier": ("verifier.safetensors", "test/all_right_accuracy"),
    "clip": ("model.safetensors", "test/retrieval_accuracy"),
    "autoencoder": ("diffusion_pytorch_model.safetensors", "test/psnr"),
    "unet": ("unet/diffusion_pytorch_model.safetensors", "test/noise_mse"),
}


@pytest.mark.parametrize(("given", "told"), [
    ("reward=clip", "reward=clip: this training asks no reward"),
    ("model=sd15", "model=sd15: this training asks no model"),
    ("scorers=tiny_sd", "scorers (clip, verifier): "), ("objective=dpok", "objective=dpok: ")])
def test_what_no_part_has_a_use_for_is_told_alone(given: str, told: str) -> None:
    with pytest.raises(Problems) as caught:
        plan.check_only(["method=tiny_clip", given])
    (found,) = caught.value.problems
    assert found.startswith(told)


LONG = [pytest.param(part, marks=pytest.mark.slow) for part in ("verifier", "autoencoder", "unet")]


@pytest.mark.parametrize("part", ["clip", *LONG])
def test_a_part_runs_through_every_phase(part: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    assert run([f"method=tiny_{part}", "debug=tiny", "logger=csv", f"output_dir={tmp_path}",
                f"method.weights={weights}"]) == 0
    file, figure = PARTS[part]
    assert load_file(weights / file)
    results = json.loads((tmp_path / "latest" / "metrics.json").read_text())
    assert results["status"] == "finished"
    assert isinstance(results[figure], float)


def test_a_step_depends_on_seed_and_number_alone() -> None:
    losses = []
    for _ in range(2):
        module = ClipTraining(steps=6, batch_size=8, lr=1e-3, weight_decay=0.0, ema_decay=0.9, weights="unused")
        module.configure_model()
        losses.append(module.loss(module.generator(3))[0].item())
    assert losses[0] == losses[1] != module.loss(module.generator(4))[0].item()


def test_hard_negatives_differ_in_one_attribute_or_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    scenes = shapes.random_scenes(200, generator)
    assert ((change_one(scenes, generator) != scenes).sum(1) == 1).all()
    family = relatives(scenes, generator).reshape(200, 4, 5)
    assert torch.equal(family[:, 0], scenes)
    assert torch.equal(family[:, 3, :4], scenes[:, [2, 3, 0, 1]])


def test_spoilt_drawings_are_not_the_clean_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    scenes = shapes.random_scenes(32, generator)
    images = shapes.draw(scenes, generator)
    assert (spoil(scenes, images, generator) != images).flatten(1).any(1).all()
