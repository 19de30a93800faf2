"""The presets for a card of 12 and of 24 GB: their sizes fit by the formula that names them; nothing is measured."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from src.core.config.compose import compose, plain
from src.methods.b2diffurl import sampling
from src.methods.b2diffurl.checks.fits import problems
from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.update import Kept
from src.models.memory import FOOTPRINTS, held, needed
from tests.models.counting import picture_bytes, saved_by_autograd
from tests.profiled import profiled_peak

CARDS = {"12gb": 12.0, "24gb": 24.0}


def composed(*overrides: str) -> dict:
    return plain(compose([*overrides]).cfg)


def gigabytes(cfg: dict) -> float:
    model, method = cfg["model"], cfg["method"]
    of = FOOTPRINTS[model["name"]]
    return needed(of.at(model["resolution"] or of.side), checkpointing=model["gradient_checkpointing"],
                  micro_batch=method["micro_batch"], rollout_batch=method["rollout_batch"], steps=method["steps"],
                  vae_batch=model["vae_batch"], pictures=method["prompts_per_stage"] * method["branches"])


SMALL = ["method.prompts_per_stage=128", "method.micro_batch=1", "method.rollout_batch=2"]  # as 12gb.yaml says
SMALLER = ["model.resolution=768", "method.prompts_per_stage=16", *SMALL[1:]]
PLAIN = ["model.gradient_checkpointing=false", "method.micro_batch=5"]  # as 24gb.yaml says


@pytest.mark.parametrize(("card", "model", "more", "figure"), [
    ("12gb", "sd15", [], 10.0), ("12gb", "sd21", SMALL, 10.3), ("12gb", "sdxl", SMALLER, 11.3),
    ("24gb", "sd15", [], 12.8), ("24gb", "sd15", PLAIN, 21.8), ("24gb", "sd21", [], 19.6), ("24gb", "sdxl", [], 20.4)])
def test_a_preset_fits_its_card_by_the_formula(card: str, model: str, more: list[str], figure: float) -> None:
    cfg = composed(f"model={model}", f"memory={card}", *more)
    assert cfg["model"]["dtype"] == "bfloat16" and cfg["model"]["lora_rank"] == 4
    assert gigabytes(cfg) < 0.95 * CARDS[card] and gigabytes(cfg) == pytest.approx(figure, abs=0.06)
    assert cfg["card_gb"] == CARDS[card] and problems(cfg) == []


@pytest.mark.parametrize(("overrides", "words"), [
    (["model=sd21", "memory=12gb"], ["model=sd21 at 768 pixels", "card of 12 GB", "Lower method.prompts_per_stage"]),
    (["model=sdxl", "memory=12gb"], ["12.0 GB with the smallest sizes", "memory=24gb", "model.resolution"]),
    (["model=sdxl", "memory=24gb", "method.micro_batch=8"], ["Lower method.micro_batch (update: 14.8 GB)"]),
    (["model=sd15", "card_gb=12"], ["Set model.gradient_checkpointing=true, or lower method.micro_batch"]),
    (["model=sd15"], []), (["memory=12gb"], []), (["model=sd21", "memory=12gb", "card_gb=null"], []),
    (["method=pskd", "card_gb=1"], []),
    (["model=sd15", "memory=12gb", "method.micro_batch=auto", "method.rollout_batch=auto"], []),
    (["model=sdxl", "memory=12gb", "method.micro_batch=auto"], ["12.0 GB with the smallest sizes"])])
def test_sizes_that_do_not_fit_are_refused_with_what_to_lower(overrides: list[str], words: list[str]) -> None:
    told = problems(composed(*overrides))
    assert len(told) == bool(words) and all(word in told[0] for word in words)


def test_a_twentieth_of_the_card_stays_free() -> None:
    cfg = composed("model=sd15", "memory=12gb")
    assert problems(cfg | {"card_gb": gigabytes(cfg) / 0.949}) == []
    assert len(problems(cfg | {"card_gb": gigabytes(cfg) / 0.951})) == 1


def test_the_command_line_wins_over_a_preset_and_a_preset_over_the_model() -> None:
    cfg = composed("memory=12gb", "model=sd15", "method.micro_batch=3")
    assert cfg["method"]["micro_batch"] == 3 and cfg["model"]["gradient_checkpointing"]
    assert not composed("model=sd15")["model"]["gradient_checkpointing"]


ANY = {"in_channels": 4, "out_channels": 4, "layers_per_block": 2}
CONFIGS = {  # published
    "sd15": (ANY | {"sample_size": 64, "block_out_channels": [320, 640, 1280, 1280], "attention_head_dim": 8,
                    "cross_attention_dim": 768}, 83.7),
    "sd21": (ANY | {"sample_size": 96, "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 1024,
                    "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}, 83.7),
    "sdxl": (ANY | {"sample_size": 128, "block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20],
                    "cross_attention_dim": 2048, "use_linear_projection": True,
                    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
                    "transformer_layers_per_block": [1, 2, 10], "addition_embed_type": "text_time",
                    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}, 83.7),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", CONFIGS)
def test_figures_are_counted_on_the_published_configuration(model: str) -> None:
    config, vae = CONFIGS[model]  # and millions of the VAE's parameters, 2 bytes each
    found, own = saved_by_autograd(config), FOOTPRINTS[model]
    for name in ("pair", "pair_checkpointed", "block"):
        assert found[name] / 1e9 == pytest.approx(getattr(own, name), rel=0.02)
    assert found["unet"] / 1e9 + vae * 2 / 1e3 == pytest.approx(own.weights, rel=0.01)
    assert picture_bytes(own.side) / 1e9 == pytest.approx(own.picture, rel=0.01)


def test_what_autograd_keeps_is_counted_from_the_architecture() -> None:
    options = {"in_channels": 4, "out_channels": 4, "layers_per_block": 1, "block_out_channels": (8, 16, 16, 16),
               "cross_attention_dim": 32, "attention_head_dim": 2, "norm_num_groups": 4, "sample_size": 8}
    one, two, wide = (saved_by_autograd(options | {"sample_size": size}, rows=rows)
                      for size, rows in ((8, 1), (8, 2), (16, 1)))
    assert one["pair_checkpointed"] < one["pair"]
    assert two["pair"] == pytest.approx(2 * one["pair"], rel=0.05)
    assert one["pair"] < wide["pair"] < 4 * one["pair"]  # keys and values of the text do not grow with the picture
    assert one["unet"] == wide["unet"] and one["block"] < one["pair"]


@pytest.mark.parametrize(("interval", "kept"), [(3, 64), (6, 16), (6, 64)])
def test_what_a_stage_holds_is_as_many_latents_as_the_formula_says(interval: int, kept: int,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout whose UNet costs nothing, then the choice; what is small beside latents makes the few percent."""
    monkeypatch.setattr(sampling, "NOISE_ROWS", 4)  # few beside 64 pictures, as 64 are beside a stage of 1,280
    ddim, shape, trunks = Ddim.from_scheduler(DDIMScheduler(clip_sample=False), 6), (4, 16, 16), torch.arange(32)

    def stage() -> Kept:
        rolled = sampling.rollout(lambda latents, *_: latents.clone(), ddim, trunks, trunks, branches=2,
                                  interval=interval, latent_shape=shape, seed=0, stage=0, max_batch=16)
        return Kept.of(rolled, torch.arange(kept), torch.ones(kept), usable=6)

    assert profiled_peak(stage) == pytest.approx(held(64, kept, interval) * 4 * 4 * 16 * 16, rel=0.05)
