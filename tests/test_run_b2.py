"""B2-DiffuRL from the command line to the exported weights, on a stand-in for SD 1.5, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.methods.b2diffurl.evaluation import EVALUATION_STAGE
from src.methods.b2diffurl.noise import keyed_normal
from src.models.diffusion import DiffusionModel
from tests.methods.b2diffurl.conftest import Runner, summary

GUIDANCE, STEPS = 3.0, 4  # of the experiment `standin`
PROMPTS = ["a red cat", "two cats"]
PLOTS = {"rewards", "diversity", "vendi", "selection", "variance", "interval", "policy"}


@pytest.fixture(scope="module")
def runner(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(sd_folder, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def trained(runner: Runner, clip_folder: Path) -> Path:
    """The run folder of a finished run that optimised CLIP, with another scorer beside it."""
    assert runner("reward=clip", f"reward.path={clip_folder}") == 0
    return runner.folder


def test_the_run_folder_holds_everything(trained: Path) -> None:
    for name in ("config.yaml", "overrides.txt", "env.json", "metrics.csv", "metrics.json", "checkpoints/last.ckpt",
                 "samples/before.npz", "samples/after.npz", "samples/before_after.png", "samples/stage_0002.png",
                 "export/pytorch_lora_weights.safetensors", "export/README.md"):
        assert (trained / name).stat().st_size > 0, name
    assert {path.stem for path in (trained / "plots").glob("*.png")} == PLOTS
    card = (trained / "export" / "README.md").read_text()
    assert "load_lora_weights" in card and "eval/clip" in card
    json.loads((trained / "env.json").read_text())


def test_metrics_json_has_the_names_that_are_promised(trained: Path) -> None:
    found = summary(trained)
    assert (found["method"], found["status"]) == ("b2diffurl", "finished") and found["seconds"] > 0
    figures = [f"{split}/{name}" for split in ("eval", "heldout") for name in ("clip", "judge", "all_right")]
    figures += [f"diversity/{measure}{split}" for measure in ("latent", "vendi") for split in ("", "_heldout")]
    for name in figures:
        assert isinstance(found[f"{name}_before"], float) and isinstance(found[f"{name}_after"], float), name
    assert found["cost/reward_queries"] == 18 and found["cost/unet_evaluations"] > 0
    assert all(found[f"cost/seconds_{phase}"] > 0 for phase in ("sample", "score", "train"))
    assert found["eval/clip_after"] != found["eval/clip_before"]


def test_the_curves_have_a_point_where_they_should(trained: Path) -> None:
    from src.methods.b2diffurl.plots import read_columns

    columns = read_columns(trained / "metrics.csv")
    assert [queries for queries, _ in columns["reward/mean"]] == [6, 12, 18]
    assert [queries for queries, _ in columns["eval/clip"]] == [0, 12]
    assert [value for _, value in columns["interval"]] == [2, 2, 3]


def policy(folder: Path, trained: Path) -> DiffusionModel:
    """The trained policy as the checkpoint has it."""
    model = DiffusionModel(name="policy", path=str(folder)).load("cpu")
    model.load_trainable_state(torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    return model


@pytest.fixture(scope="module")
def plain(sd_folder: Path, trained: Path):
    """Nothing of this project: diffusers' pipeline with the exported LoRA and the scheduler that its folder names."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(sd_folder, safety_checker=None)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.load_lora_weights(trained / "export")
    return pipeline


@torch.no_grad()
def guided(pipeline, latents: torch.Tensor, timestep: int, prompt: str) -> torch.Tensor:
    positive, negative = pipeline.encode_prompt(prompt, "cpu", 1, True)
    text = torch.cat([negative, positive])
    free, bound = pipeline.unet(latents.repeat(2, 1, 1, 1), timestep, encoder_hidden_states=text).sample.chunk(2)
    return free + GUIDANCE * (bound - free)


def test_exported_lora_denoises_in_plain_diffusers_as_the_trained_policy(sd_folder, trained, plain) -> None:
    model, latents = policy(sd_folder, trained), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    text = model.encode_prompts(PROMPTS[:1])
    for timestep in (751, 1):
        with torch.no_grad():
            ours = model.denoise(latents, torch.tensor([timestep]), text, GUIDANCE)
            with model.reference():
                base = model.denoise(latents, torch.tensor([timestep]), text, GUIDANCE)
        torch.testing.assert_close(guided(plain, latents, timestep, PROMPTS[0]), ours, atol=1e-4, rtol=1e-4)
        assert (ours - base).abs().max() > 1e-2


def test_sample_draws_what_plain_diffusers_draws_from_the_same_noise(runner, trained, plain) -> None:
    folder = runner.output / "sampled"
    assert runner("mode=sample", f"ckpt={trained}", f"prompts={json.dumps(PROMPTS)}", f"run_dir={folder}") == 0
    files = sorted((folder / "samples").glob("*.png"))
    assert [file.name for file in files] == ["000_a_red_cat.png", "001_two_cats.png"]
    for slot, (file, prompt) in enumerate(zip(files, PROMPTS, strict=True)):
        drawn = np.asarray(Image.open(file)).astype(int)
        assert drawn.shape == (64, 64, 3) and drawn.std() > 1
        assert np.abs(drawn - draw_plainly(plain, prompt, slot)).max() <= 2


@torch.no_grad()
def draw_plainly(pipeline, prompt: str, slot: int) -> np.ndarray:
    """diffusers' own DDIM loop with eta 1, fed with the run's noise: uint8 [64, 64, 3]."""

    def noise(branch: int, step: int) -> torch.Tensor:
        return keyed_normal((4, 8, 8), seed=0, stage=EVALUATION_STAGE, slots=torch.tensor([slot]),
                            branches=torch.tensor([branch]), step=step)

    scheduler, latents = pipeline.scheduler, noise(-1, -1)
    scheduler.set_timesteps(STEPS)
    for step, timestep in enumerate(scheduler.timesteps.tolist()):
        output = guided(pipeline, latents, timestep, prompt)
        latents = scheduler.step(output, timestep, latents, eta=1.0, variance_noise=noise(0, step)).prev_sample
    picture = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample[0]
    return ((picture / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(int)


def test_evaluating_the_checkpoint_gives_the_figures_that_the_run_ended_with(runner, trained) -> None:
    folder = runner.output / "evaluated"
    assert runner("mode=eval", f"ckpt={trained}", f"run_dir={folder}") == 0
    found, run = summary(folder), summary(trained)
    after = {name.removesuffix("_after"): value for name, value in run.items() if name.endswith("_after")}
    assert len(after) == 10 and after == {name: found[name] for name in after}
    assert (folder / "samples" / "eval.npz").is_file() and not (folder / "checkpoints").exists()


def test_evaluating_without_a_checkpoint_gives_the_figures_before(runner, clip_folder, trained) -> None:
    folder = runner.output / "untrained"
    assert runner("mode=eval", "reward=clip", f"reward.path={clip_folder}", f"run_dir={folder}") == 0
    found, run = summary(folder), summary(trained)
    before = {name.removesuffix("_before"): value for name, value in run.items() if name.endswith("_before")}
    assert len(before) == 10 and before == {name: found[name] for name in before}


@pytest.mark.parametrize("mode", ["eval", "sample"])
@pytest.mark.parametrize(("change", "there", "here"), [
    ("model.name=sd14", "model=sd15", "model=sd14"),
    ("model.lora_rank=8", "adapter=lora r4", "adapter=lora r8"),
    ("model.lora_rank=0", "adapter=lora r4", "adapter=full"),
])
def test_a_checkpoint_of_another_model_is_refused(runner, trained, capsys, mode, change, there, here) -> None:
    folder = runner.output / "refused"
    prompts = ["prompts=[a cat]"] if mode == "sample" else []
    assert runner(f"mode={mode}", f"ckpt={trained}", change, f"run_dir={folder}", *prompts) == 2
    told = capsys.readouterr().err
    assert there in told and here in told and "Traceback" not in told and not folder.exists()


def test_a_checkpoint_of_another_method_is_refused(runner, trained, tmp_path, capsys) -> None:
    stored = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    foreign = tmp_path / "foreign.ckpt"
    torch.save(stored | {"identity": {"method": "pskd", "model": "resnet18"}}, foreign)
    assert runner("mode=eval", f"ckpt={foreign}", f"run_dir={tmp_path / 'refused'}") == 2
    told = capsys.readouterr().err
    assert "method=pskd" in told and "method=b2diffurl" in told and "model=resnet18" in told and "model=sd15" in told
    assert not (tmp_path / "refused").exists()
