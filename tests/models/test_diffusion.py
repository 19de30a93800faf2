"""DiffusionModel against diffusers' own pipeline, on SD 1.x's configuration at reduced width."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.core.errors import UserError
from src.models.diffusion import DiffusionModel

PROMPTS = ["a red cat", "a dog"]
TIMESTEPS = torch.tensor([901, 21])


def load(folder: Path, **options) -> DiffusionModel:
    return DiffusionModel(name="tiny", path=str(folder), **options).load("cpu")


@pytest.fixture(scope="module")
def pipeline(sd_folder: Path):
    return plain_pipeline(sd_folder)


def plain_pipeline(folder: Path):
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)


@pytest.fixture(scope="module")
def model(sd_folder: Path) -> DiffusionModel:
    """Shared by tests that change nothing but the counter."""
    return load(sd_folder)


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def perturb(model: DiffusionModel) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)


@torch.no_grad()
def pipeline_noise(pipeline, latents: Tensor, scale: float) -> Tensor:
    """The guided prediction with the pipeline's own encoder and UNet, row by row."""
    positive, negative = pipeline.encode_prompt(PROMPTS, "cpu", 1, True)
    rows = []
    for row, t in enumerate(TIMESTEPS):
        text = torch.cat([negative[row : row + 1], positive[row : row + 1]])
        free, bound = pipeline.unet(latents[[row, row]], t, encoder_hidden_states=text).sample.chunk(2)
        rows.append(free + scale * (bound - free))
    return torch.cat(rows)


def test_constructor_loads_nothing() -> None:
    assert DiffusionModel(name="sd15", path="nowhere").unet is None


def test_prompts_as_in_the_pipeline(model: DiffusionModel, pipeline) -> None:
    positive, negative = pipeline.encode_prompt(PROMPTS, "cpu", 1, True)
    assert torch.equal(model.encode_prompts(PROMPTS), positive)
    torch.testing.assert_close(model.encode_prompts(PROMPTS, batch=1), positive, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.empty_embedding, negative[:1], atol=1e-5, rtol=1e-5)


def test_guided_prediction_as_in_the_pipeline_and_adapter_starts_as_zero(model, pipeline, latents) -> None:
    with torch.no_grad():
        ours = model.denoise(latents, TIMESTEPS, model.encode_prompts(PROMPTS), 5.0)
    torch.testing.assert_close(ours, pipeline_noise(pipeline, latents, 5.0), atol=1e-4, rtol=1e-4)


def test_evaluations_count_rows(model: DiffusionModel, latents: Tensor) -> None:
    text = model.encode_prompts(PROMPTS)
    for scale, rows in ((5.0, 4), (1.0, 2), (0.0, 2)):
        before = model.evaluations
        with torch.no_grad():
            model.denoise(latents, TIMESTEPS, text, scale)
        assert model.evaluations - before == rows


def test_same_numbers_with_and_without_gradients_and_under_a_trainers_autocast(model, latents) -> None:
    text = model.encode_prompts(PROMPTS)
    with torch.no_grad():
        rollout = model.denoise(latents, TIMESTEPS, text, 5.0)
    model.unet.train()  # as a trainer would
    with torch.autocast("cpu", dtype=torch.bfloat16):
        update = model.denoise(latents, TIMESTEPS, text, 5.0)
    assert not model.unet.training
    assert update.requires_grad
    assert torch.equal(rollout, update)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_adapter_is_float32_and_predictions_too(sd_folder: Path, latents: Tensor, dtype: str) -> None:
    model = load(sd_folder, dtype=dtype, gradient_checkpointing=True)
    model.denoise(latents, TIMESTEPS, model.encode_prompts(PROMPTS), 5.0).square().mean().backward()
    trained = model.trainable_parameters()
    assert trained and all(p.dtype == torch.float32 and p.grad is not None for p in trained)
    frozen = {p.dtype for p in model.unet.parameters() if not p.requires_grad}
    assert frozen == {getattr(torch, dtype)}
    assert model.decode(latents).dtype == model.encode_prompts(PROMPTS).dtype == torch.float32


def test_checkpointing_changes_no_gradient(sd_folder: Path, latents: Tensor) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = load(sd_folder, gradient_checkpointing=checkpointing)
        perturb_seeded = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for p in model.trainable_parameters():
                p.copy_(0.1 * torch.randn(p.shape, generator=perturb_seeded))
        model.denoise(latents, TIMESTEPS, model.encode_prompts(PROMPTS), 5.0).square().sum().backward()
        gradients.append([p.grad for p in model.trainable_parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_decode_is_the_vaes(model: DiffusionModel, pipeline, latents: Tensor) -> None:
    model.vae_batch = 1
    pictures = model.decode(latents)
    with torch.no_grad():
        expected = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    assert pictures.shape == (2, 3, 64, 64) and pictures.min() >= 0 and pictures.max() <= 1
    torch.testing.assert_close(pictures, (expected / 2 + 0.5).clamp(0, 1), atol=1e-5, rtol=1e-5)


def test_scheduler_is_ddim_with_the_folders_settings(model: DiffusionModel, sd_folder: Path) -> None:
    config = model.scheduler.config
    assert type(model.scheduler).__name__ == "DDIMScheduler"
    assert (config.beta_schedule, config.steps_offset, config.set_alpha_to_one) == ("scaled_linear", 1, False)
    assert not config.clip_sample and config.timestep_spacing == "leading"
    other = load(sd_folder, steps=10, timestep_spacing="trailing").scheduler
    assert other.config.timestep_spacing == "trailing" and len(other.timesteps) == 10


def test_state_round_trip(sd_folder: Path, latents: Tensor) -> None:
    first, second = load(sd_folder), load(sd_folder)
    perturb(first)
    state = first.trainable_state()
    second.load_trainable_state(state)
    text = first.encode_prompts(PROMPTS)
    with torch.no_grad():
        assert torch.equal(*(m.denoise(latents, TIMESTEPS, text, 5.0) for m in (first, second)))
    perturb(first)
    assert not torch.equal(next(iter(state.values())), next(iter(first.trainable_state().values())))  # a copy


def test_state_of_another_adapter_is_refused(sd_folder: Path) -> None:
    state = load(sd_folder, lora_rank=2).trainable_state()
    with pytest.raises(UserError, match="lora_rank"):
        load(sd_folder, lora_rank=4).load_trainable_state(state)


def test_reference_is_the_pretrained_policy(sd_folder: Path, latents: Tensor) -> None:
    model = load(sd_folder)
    text = model.encode_prompts(PROMPTS)
    base = model.denoise(latents, TIMESTEPS, text, 5.0).detach()
    perturb(model)
    trained = len(model.trainable_parameters())
    with model.reference():
        reference = model.denoise(latents, TIMESTEPS, text, 5.0)
    assert torch.equal(reference, base) and not reference.requires_grad
    assert len(model.trainable_parameters()) == trained
    assert not torch.allclose(model.denoise(latents, TIMESTEPS, text, 5.0), base)


@pytest.mark.parametrize("alpha", [None, 1.5])
def test_exported_lora_in_plain_diffusers(sd_folder: Path, tmp_path: Path, latents: Tensor, alpha) -> None:
    model = load(sd_folder, lora_alpha=alpha)
    perturb(model)
    model.export(tmp_path, method="ddpo", command="python -m src.run method=ddpo", figures={"eval/clip_after": 0.25})
    plain = plain_pipeline(sd_folder)
    base = pipeline_noise(plain, latents, 5.0)
    plain.load_lora_weights(tmp_path)
    with torch.no_grad():
        ours = model.denoise(latents, TIMESTEPS, model.encode_prompts(PROMPTS), 5.0)
    torch.testing.assert_close(ours, pipeline_noise(plain, latents, 5.0), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ours, base, atol=1e-2)
    card = (tmp_path / "README.md").read_text()
    assert "load_lora_weights" in card and "python -m src.run method=ddpo" in card and "eval/clip_after" in card


@pytest.mark.parametrize("rank", [4, 0])
def test_the_card_draws_as_the_run_did(sd_folder: Path, tmp_path: Path, rank: int) -> None:
    model = load(sd_folder, lora_rank=rank, timestep_spacing="trailing", resolution=32)
    call = {"prompt": "a dog's \"red\" cat", "num_inference_steps": 2, "guidance_scale": 3.0, "eta": 1.0}
    model.export(tmp_path, facts=[("reward", "clip")], call=call)
    card = (tmp_path / "README.md").read_text()
    assert "- Reward: clip\n" in card
    told: dict = {}
    exec(card.split("```python")[1].split("```")[0].replace("<this folder>", str(tmp_path)), told)
    assert told["picture"].size == (32, 32)
    drawn, ours = told["pipeline"], model.scheduler
    ours.set_timesteps(2)
    assert torch.equal(drawn.scheduler.timesteps, ours.timesteps) and not drawn.scheduler.config.clip_sample
    assert drawn.guidance_scale == 3.0


def test_full_fine_tuning(sd_folder: Path, tmp_path: Path, latents: Tensor) -> None:
    from diffusers import UNet2DConditionModel

    model = load(sd_folder, lora_rank=0, dtype="bfloat16")
    assert {p.dtype for p in model.trainable_parameters()} == {torch.float32}
    assert len(model.trainable_parameters()) == len(list(model.unet.parameters()))
    model.load_trainable_state({name: tensor + 0.01 for name, tensor in model.trainable_state().items()})
    model.export(tmp_path)
    saved = UNet2DConditionModel.from_pretrained(tmp_path, subfolder="unet")
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), model.unet.parameters(), strict=True))
    with pytest.raises(UserError, match="lora_rank=0"):
        model.reference()


def test_targets_that_match_nothing(sd_folder: Path) -> None:
    with pytest.raises(UserError, match=r"to_query.*to_out\.0.*to_q"):
        load(sd_folder, lora_targets=["to_q", "to_query"])


def test_missing_weights(sd_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load(tmp_path / "nowhere")
    broken = tmp_path / "broken"
    shutil.copytree(sd_folder, broken)
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks unet/diffusion_pytorch_model\.safetensors"):
        load(broken)


def test_broken_weights(sd_folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(sd_folder, tmp_path / "broken")
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be loaded"):
        load(broken)


def test_hub_without_a_network_names_folder_and_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = DiffusionModel(name="sd15", hub="owner/stable-diffusion")
    with pytest.raises(UserError) as told:
        model.load("cpu")
    for words in ("hf download owner/stable-diffusion", "model.path=", str(tmp_path)):
        assert words in str(told.value)


def test_prompts_whose_end_is_not_read(model: DiffusionModel) -> None:
    most = model.text.tokenizer.model_max_length
    short, long = "a red cat", " ".join(["cat"] * most)
    assert model.text.cut([short, long]) == [long]
