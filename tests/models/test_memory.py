"""The presets for a card of 12 and of 24 GB: their sizes fit by the formula that names them; nothing is measured."""

from __future__ import annotations

import pytest

from src.core.compose import compose, plain
from src.models.memory import FOOTPRINTS, needed, saved_by_autograd

CARDS = {"12gb": 12.0, "24gb": 24.0}


def composed(*overrides: str) -> dict:
    return plain(compose([*overrides]).cfg)


def gigabytes(cfg: dict) -> float:
    model, method = cfg["model"], cfg["method"]
    return needed(FOOTPRINTS[model["name"]], checkpointing=model["gradient_checkpointing"],
                  micro_batch=method["micro_batch"], rollout_batch=method["rollout_batch"], steps=method["steps"],
                  vae_batch=model["vae_batch"], pictures=method["prompts_per_stage"] * method["branches"])


SMALL = ["method.prompts_per_stage=128", "method.micro_batch=1", "method.rollout_batch=2"]  # as 12gb.yaml says
PLAIN = ["model.gradient_checkpointing=false", "method.micro_batch=3"]  # as 24gb.yaml says


@pytest.mark.parametrize(("card", "model", "more", "figure"), [
    ("12gb", "sd15", [], 10.0), ("12gb", "sd21", SMALL, 10.6), ("24gb", "sd15", [], 13.2),
    ("24gb", "sd15", PLAIN, 18.7), ("24gb", "sd21", [], 20.4)])
def test_a_preset_fits_its_card_by_the_formula(card: str, model: str, more: list[str], figure: float) -> None:
    cfg = composed(f"model={model}", f"memory={card}", *more)
    assert cfg["model"]["dtype"] == "bfloat16" and cfg["model"]["lora_rank"] == 4
    assert gigabytes(cfg) < 0.95 * CARDS[card] and gigabytes(cfg) == pytest.approx(figure, abs=0.06)


def test_the_command_line_wins_over_a_preset_and_a_preset_over_the_model() -> None:
    cfg = composed("memory=12gb", "model=sd15", "method.micro_batch=3")
    assert cfg["method"]["micro_batch"] == 3 and cfg["model"]["gradient_checkpointing"]
    assert not composed("model=sd15")["model"]["gradient_checkpointing"]


def test_what_autograd_keeps_is_counted_from_the_architecture() -> None:
    options = {"in_channels": 4, "out_channels": 4, "layers_per_block": 1, "block_out_channels": (8, 16, 16, 16),
               "cross_attention_dim": 32, "attention_head_dim": 2, "norm_num_groups": 4, "sample_size": 8}
    one, two, wide = (saved_by_autograd(options | {"sample_size": size}, rows=rows)
                      for size, rows in ((8, 1), (8, 2), (16, 1)))
    assert one["pair_checkpointed"] < one["pair"]
    assert two["pair"] == pytest.approx(2 * one["pair"], rel=0.05)
    assert one["pair"] < wide["pair"] < 4 * one["pair"]  # keys and values of the text do not grow with the picture
    assert one["unet"] == wide["unet"] and one["block"] < one["pair"]
