"""Stable Diffusion 2.1 at reduced width: v-prediction, its scheduler's settings, its text encoder, a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.core.errors import UserError
from src.methods.b2diffurl.ddim import Ddim
from src.models.diffusion import DiffusionModel
from tests.methods.b2diffurl.conftest import Runner, summary
from tests.standins_sd2 import stable_diffusion_2

PROMPTS = ["a red cat", "a dog"]
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
SETTINGS = {"leading": {}, "zero terminal SNR": ZERO_SNR, "sample": {"prediction_type": "sample"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_diffusion_2(tmp_path_factory.mktemp("sd21"))


def load(folder: Path, **options) -> DiffusionModel:
    return DiffusionModel(name="sd21", path=str(folder), **options).load("cpu")


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def plain_pipeline(folder: Path):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_prompts_are_padded_and_encoded_as_in_the_pipeline(folder: Path) -> None:
    model, pipeline = load(folder), plain_pipeline(folder)
    padded = model.text.tokenizer("a dog", padding="max_length").input_ids
    assert padded[-1] == model.text.tokenizer.convert_tokens_to_ids("!") != model.text.tokenizer.eos_token_id
    positive, negative = pipeline.encode_prompt(PROMPTS, "cpu", 1, True)
    assert torch.equal(model.encode_prompts(PROMPTS), positive)
    torch.testing.assert_close(model.empty_embedding, negative[:1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_whole_chain_is_the_pipelines(tmp_path: Path, latents: Tensor, name: str) -> None:
    """Five steps without noise from the same latents, guidance included, end in the pipeline's own picture."""
    folder = stable_diffusion_2(tmp_path, **SETTINGS[name])
    model = load(folder)
    pipeline = plain_pipeline(folder)
    expected = pipeline(PROMPTS, num_inference_steps=5, guidance_scale=3.0, latents=latents,
                        output_type="latent").images
    ddim = Ddim.from_scheduler(model.scheduler, 5, eta=0.0)
    text, x = model.encode_prompts(PROMPTS), latents
    with torch.no_grad():
        for step in range(5):
            x = ddim.mean(x, model.denoise(x, ddim.timesteps[step].expand(2), text, 3.0), step)
    torch.testing.assert_close(x, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", SETTINGS)
def test_mean_and_std_of_each_step_are_those_of_diffusers(tmp_path: Path, latents: Tensor, name: str) -> None:
    """Of their step with eta=1, without noise for the mean, and with noise of ones for the standard deviation."""
    scheduler = load(stable_diffusion_2(tmp_path, **SETTINGS[name])).scheduler
    ddim = Ddim.from_scheduler(scheduler, 10)
    output = torch.randn(latents.shape, generator=torch.Generator().manual_seed(4))
    for step, time in enumerate(ddim.timesteps.tolist()):
        without, ones = (scheduler.step(output, time, latents, eta=1.0, variance_noise=noise).prev_sample
                         for noise in (torch.zeros_like(latents), torch.ones_like(latents)))
        # From pure noise 1 - a_prev - sigma^2 is 0; in their float32 it is 1e-7, and its root 3e-4.
        atol = 1e-4 if ddim.alpha_bar_t[step] > 0 else 2e-3
        torch.testing.assert_close(ddim.mean(latents, output, step), without, atol=atol, rtol=1e-4)
        torch.testing.assert_close(ddim.sigma[step].expand(latents.shape), ones - without, atol=1e-5, rtol=1e-4)


def test_zero_terminal_snr_starts_from_pure_noise(tmp_path: Path, latents: Tensor) -> None:
    """At the first step x_0 is the model's alone (-v), and the action's probability is finite, with a gradient."""
    ddim = Ddim.from_scheduler(load(stable_diffusion_2(tmp_path, **ZERO_SNR)).scheduler, 10)
    assert ddim.timesteps[0] == 999 and ddim.alpha_bar_t[0] == 0 and ddim.usable[0]
    output = torch.zeros_like(latents, requires_grad=True)
    mean = ddim.mean(latents, output, 0)
    torch.testing.assert_close(ddim.output_weight[0], -ddim.alpha_bar_prev[0].sqrt())
    log_prob = ddim.log_prob(ddim.add_noise(mean, torch.ones_like(mean), 0).detach(), mean, 0)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and output.grad.abs().min() > 0


def test_noise_prediction_cannot_start_from_pure_noise(tmp_path: Path) -> None:
    model = load(stable_diffusion_2(tmp_path, **ZERO_SNR, prediction_type="epsilon"))
    with pytest.raises(UserError, match="v_prediction"):
        Ddim.from_scheduler(model.scheduler, 10)


def test_lora_sits_on_linear_projections_and_exports(folder: Path, tmp_path: Path, latents: Tensor) -> None:
    model = load(folder, dtype="bfloat16", gradient_checkpointing=True, lora_targets=["to_q", "proj_in"])
    text = model.encode_prompts(PROMPTS)
    model.denoise(latents, torch.tensor([901, 21]), text, 3.0).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.trainable_parameters())
    model.export(tmp_path)
    plain_pipeline(folder).load_lora_weights(tmp_path)


@pytest.mark.parametrize("settings", [pytest.param({}, marks=pytest.mark.slow), ZERO_SNR],
                         ids=["leading", "zero terminal SNR"])
def test_a_run_trains_it(tmp_path: Path, settings: dict) -> None:
    folder = stable_diffusion_2(tmp_path / "model", **settings)
    runner = Runner(folder, tmp_path / "outputs")
    options = ["method.stages=1", "method.eval_every=1", "model.dtype=float32", "model.vae_batch=64"]
    assert runner("model=sd21", *options) == 0
    found = summary(runner.folder)
    assert found["status"] == "finished" and found["cost/unet_evaluations"] > 0
    assert (runner.folder / "export" / "pytorch_lora_weights.safetensors").is_file()
