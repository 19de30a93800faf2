"""Stable Diffusion XL at reduced width against diffusers' own pipeline: prompts, sizes, schedule, a chain, a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.core.errors import UserError
from src.methods.b2diffurl.ddim import Ddim
from src.models.check import check
from src.models.diffusion import DiffusionModel
from src.models.sdxl import StableDiffusionXL
from tests.methods.b2diffurl.conftest import Runner, summary
from tests.standins_sdxl import stable_diffusion_xl

PROMPTS = ["a red cat", "a dog"]


@pytest.fixture
def folder(sdxl_folder: Path) -> Path:
    return sdxl_folder


def load(folder: Path, **options) -> StableDiffusionXL:
    return StableDiffusionXL(name="sdxl", path=str(folder), **options).load("cpu")


def noise(side: int = 8) -> Tensor:
    return torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(3))


def plain_pipeline(folder: Path, scheduler: str = "DDIMScheduler"):
    import diffusers

    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def chain(model: StableDiffusionXL, latents: Tensor, steps: int, scale: float, rescale: float = 0.0) -> Tensor:
    """Denoised without noise by our own steps."""
    ddim, told = Ddim.from_scheduler(model.scheduler, steps, eta=0.0), model.encode_prompts(PROMPTS)
    for step in range(steps):
        output = model.denoise(latents, ddim.timesteps[step].expand(len(latents)), told, scale, rescale)
        latents = ddim.mean(latents, output, step)
    return latents


# --- against the pipeline --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zeros", [True, False])
def test_prompts_and_no_prompt_are_encoded_as_in_the_pipeline(folder: Path, tmp_path: Path, zeros: bool) -> None:
    if not zeros:
        folder = stable_diffusion_xl(tmp_path, zeros_for_empty=False)
    model = load(folder)
    told, empty = model.encode_prompts(PROMPTS), model.empty_embedding
    found = plain_pipeline(folder).encode_prompt(PROMPTS, device="cpu", do_classifier_free_guidance=True)
    positive, negative, pooled, negative_pooled = found
    assert torch.equal(told.tokens, positive) and torch.equal(told.pooled, pooled)
    assert (negative.abs().max() == 0) == zeros
    torch.testing.assert_close(empty.tokens, negative[:1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(empty.pooled, negative_pooled[:1], atol=1e-5, rtol=1e-5)
    assert torch.equal(told[torch.tensor([1, 1, 0])].tokens, positive[[1, 1, 0]])
    assert torch.equal(told[torch.tensor([1, 1, 0])].pooled, pooled[[1, 1, 0]])


@pytest.mark.parametrize(("resolution", "scale", "rescale"), [(None, 3.0, 0.0), (None, 5.0, 0.7), (96, 1.0, 0.0)])
def test_a_whole_chain_is_the_pipelines(folder: Path, resolution: int | None, scale: float, rescale: float) -> None:
    """Five steps without noise end in the pipeline's own latents and picture: guidance, sizes and scaling included."""
    model, pipeline = load(folder, resolution=resolution), plain_pipeline(folder)
    assert model.latent_shape == (4, (resolution or 64) // 8, (resolution or 64) // 8)
    latents = noise(model.latent_shape[1])
    options = {"num_inference_steps": 5, "guidance_scale": scale, "guidance_rescale": rescale,
               "height": resolution, "width": resolution, "latents": latents}
    expected = pipeline(PROMPTS, **options, output_type="latent").images
    found = chain(model, latents, 5, scale, rescale)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(model.decode(found), pipeline(PROMPTS, **options, output_type="pt").images,
                               atol=1e-3, rtol=1e-3)


def test_the_picture_size_is_told(folder: Path) -> None:
    model, other = load(folder), load(folder)
    other.sizes = other.sizes * 2
    told = model.encode_prompts(PROMPTS)
    with torch.no_grad():
        first, second = (m.denoise(noise(), torch.tensor(500), told, 1.0) for m in (model, other))
    assert (first - second).abs().max() > 1e-4


def test_the_folders_euler_scheduler_is_read_as_ddim(folder: Path) -> None:
    """Euler's steps are DDIM's without noise but for the last: Euler ends at alpha 1, DDIM at the first beta's."""
    model, euler = load(folder), plain_pipeline(folder, "EulerDiscreteScheduler")
    config = model.scheduler.config
    assert (config.beta_schedule, config.beta_start, config.beta_end) == ("scaled_linear", 0.00085, 0.012)
    assert (config.prediction_type, config.timestep_spacing, config.steps_offset) == ("epsilon", "leading", 1)
    assert not config.set_alpha_to_one
    ddim = Ddim.from_scheduler(model.scheduler, 5, eta=0.0)
    states = []
    euler(PROMPTS, num_inference_steps=5, guidance_scale=3.0, output_type="latent", latents=noise(),
          callback_on_step_end=lambda pipeline, step, time, kept: states.append((int(time), kept["latents"])) or {})
    assert [time for time, _ in states] == ddim.timesteps.tolist()
    latents, told = noise(), model.encode_prompts(PROMPTS)
    # Euler's state is ours over sqrt(alpha).
    with torch.no_grad():
        for step, (_, state) in enumerate(states[:-1]):
            time = ddim.timesteps[step].expand(2)
            latents = ddim.mean(latents, model.denoise(latents, time, told, 3.0), step)
            torch.testing.assert_close(latents, state * ddim.alpha_bar_prev[step].sqrt(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("dtype", "force_upcast", "expected"), [
    ("float16", True, torch.float32), ("float16", False, torch.float16), ("bfloat16", True, torch.bfloat16)])
def test_the_decoder_stays_in_float32_where_float16_overflows(folder: Path, tmp_path: Path, dtype: str,
                                                              force_upcast: bool, expected: torch.dtype) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "vae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"force_upcast": force_upcast}))
    model = load(copy, dtype=dtype)
    assert model.vae.dtype == expected and model.decode(noise()).dtype == torch.float32


# --- training --------------------------------------------------------------------------------------------------------


def test_exported_lora_in_plain_diffusers(folder: Path, tmp_path: Path) -> None:
    model = load(folder, lora_alpha=1.5, gradient_checkpointing=True)
    base = chain(model, noise(), 2, 3.0)
    told = model.encode_prompts(PROMPTS)
    model.denoise(noise(), torch.tensor([901, 21]), told, 3.0).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.trainable_parameters())
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7))
    model.export(tmp_path, method="B2-DiffuRL")
    pipeline = plain_pipeline(folder)
    pipeline.load_lora_weights(tmp_path)
    options = {"num_inference_steps": 2, "guidance_scale": 3.0, "latents": noise()}
    expected = pipeline(PROMPTS, **options, output_type="latent").images
    found = chain(model, noise(), 2, 3.0)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert (found - base).abs().max() > 1e-2
    card = (tmp_path / "README.md").read_text()
    assert "StableDiffusionXLPipeline.from_pretrained" in card and "safety_checker" not in card


@pytest.fixture
def runner(folder: Path, tmp_path: Path) -> Runner:
    return Runner(folder, tmp_path / "outputs")


TINY = ["model=sdxl", "model.dtype=float32", "method.stages=1", "method.eval_every=1"]


@pytest.mark.slow
def test_a_run_trains_it_scores_its_checkpoint_and_draws_from_it(runner: Runner) -> None:
    assert runner(*TINY, "method.guidance_rescale=0.5") == 0
    trained, found = runner.folder, summary(runner.folder)
    assert found["status"] == "finished" and found["cost/unet_evaluations"] > 0
    assert (trained / "export" / "pytorch_lora_weights.safetensors").is_file()
    again, drawn = trained.parent / "again", trained.parent / "drawn"
    same = [*TINY, "method.guidance_rescale=0.5", f"ckpt={trained}"]
    assert runner(*same, "mode=eval", f"run_dir={again}") == 0
    assert summary(again)["eval/redness"] == pytest.approx(found["eval/redness_after"], abs=1e-6)
    assert runner(*same, "mode=sample", f"run_dir={drawn}", "prompts=[a cat,a red dog]") == 0
    assert len(list(drawn.rglob("*.png"))) == 2


# --- what is checked first -------------------------------------------------------------------------------------------


def problems(target: str, path: Path, **model) -> list[str]:
    return check({"model": {"_target_": f"src.models.{target}", "name": "x", "path": str(path), **model}})


def test_a_folder_of_the_other_kind_is_told_the_model_that_fits(folder: Path, sd_folder: Path) -> None:
    assert problems("sdxl.StableDiffusionXL", folder) == problems("diffusion.DiffusionModel", sd_folder) == []
    (told,) = problems("diffusion.DiffusionModel", folder)
    assert "holds a StableDiffusionXLPipeline, which has two text encoders" in told and "model=sdxl" in told
    (told,) = problems("sdxl.StableDiffusionXL", sd_folder)
    assert "holds a StableDiffusionPipeline, which has one text encoder" in told and "model=sd15" in told
    with pytest.raises(UserError, match="model=sdxl"):
        DiffusionModel(name="sd15", path=str(folder)).load("cpu")


def test_what_its_folder_lacks(folder: Path, tmp_path: Path) -> None:
    half = shutil.copytree(folder, tmp_path / "half")
    shutil.rmtree(half / "text_encoder_2")
    (told,) = problems("sdxl.StableDiffusionXL", half)
    assert "lacks text_encoder_2/config.json, text_encoder_2/model.safetensors. Give a folder with all" in told


def test_a_scheduler_of_another_family(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "scheduler" / "scheduler_config.json").write_text(json.dumps(
        {"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "epsilon", "sigma_data": 0.5}))
    (told,) = problems("sdxl.StableDiffusionXL", other)
    assert "EDMDPMSolverMultistepScheduler has no beta_schedule" in told


@pytest.mark.parametrize(("resolution", "words"), [(100, "multiple of 8"), (0, "at least 1"), (None, None), (96, None)])
def test_resolution(folder: Path, resolution: int | None, words: str | None) -> None:
    told = problems("sdxl.StableDiffusionXL", folder, resolution=resolution)
    assert len(told) == (words is not None) and (words is None or words in told[0])
