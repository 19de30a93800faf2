"""Rollout, replay, comparison and update of B² never wait for the device; see tests/waiting.py."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields

import pytest
import torch

from src.methods.b2diffurl.module import B2DiffuRL
from src.methods.b2diffurl.objectives.d3po import D3PO
from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.objectives.weighting import step_weights
from src.methods.b2diffurl.reference import with_reference
from src.methods.b2diffurl.stage import draw_prompts
from src.methods.b2diffurl.update import Kept, replayed
from tests.waiting import META, Transfers


@pytest.fixture
def on_meta(loaded, monkeypatch):
    """The method with its UNet, chain and embeddings on a device without values, and an optimiser of its own."""

    def build(**options) -> B2DiffuRL:
        module = loaded(grad_clip=1.0, **options)
        module.to(META)
        module.model.unet.to(META)
        module.model.device, module.model.empty_embedding = META, module.model.empty_embedding.to(META)
        module.embeddings = module.embeddings.to(META)
        module.ddim = type(module.ddim)(*(getattr(module.ddim, item.name).to(META) for item in fields(module.ddim)))
        monkeypatch.setattr(module.model, "_autocast", nullcontext)  # it knows real devices only
        optimizer = module.configure_optimizers()
        monkeypatch.setattr(module, "optimizers", lambda: optimizer, raising=False)
        monkeypatch.setattr(module, "manual_backward", lambda loss: loss.backward(), raising=False)
        return module

    return build


def rolled_out(module: B2DiffuRL) -> Kept:
    """The rollout of a stage, and of its samples all, by a choice that the host has made."""
    prompt_index, slots = draw_prompts(module.prompts_per_stage, len(module.prompts.train), seed=0, stage=0)
    prompt_index, slots = prompt_index.to(META), slots.to(META)
    with Transfers() as seen:
        rolled = module.sample_latents(prompt_index, slots, branches=module.branches, interval=3, stage=0, seed=0,
                                       keep=True)
    assert not seen.found
    chosen = torch.arange(len(rolled.latents), device=META)
    return Kept(rolled.trajectory[chosen], rolled.log_probs[chosen], torch.empty(len(chosen), device=META),
                rolled.prompt_index[chosen], rolled.step_indices, 2 if module.choice.couples else 1)


@pytest.mark.parametrize("objective", [
    D3PO(kl_weight=0.1, weighting="sigma"), pytest.param(DDPO(), marks=pytest.mark.slow)], ids=["d3po", "ddpo"])
def test_a_stage_does_not_wait_for_the_device_between_rewards(on_meta, objective) -> None:
    module = on_meta(objective=objective, rollout_batch=4, micro_batch=8)
    kept = rolled_out(module)
    part = torch.arange(len(kept))
    with Transfers() as seen:
        kept = replayed(module.denoise, module.ddim, kept, [part], module.micro_batch)
        kept = with_reference(module.model.reference(), module.denoise, module.ddim, kept, [part], module.micro_batch,
                              means=True)
    assert seen.found == ["aten._to_copy.default"] * 2  # the numbers of the samples, once for each pass
    module.kept, module.policy_stats, module.stage_evaluations, module.place = kept, [], 0, part
    module.step_weights = step_weights(module.ddim.sigma[kept.step_indices], objective.weighting)
    with Transfers() as seen:
        module.training_step(part, 0)
    assert seen.found == ["aten._to_copy.default"]  # once an update
    assert len(module.policy_stats) == 3 + 1  # 18 pairs, eight at a time; the norm of their gradient


def test_what_waits_is_found() -> None:
    with pytest.raises(NotImplementedError):
        torch.ones(3, device=META).tolist()
    with pytest.raises(RuntimeError):
        bool(torch.ones((), device=META) > 0)
    with pytest.raises(NotImplementedError):
        torch.ones(3, device=META)[torch.ones(3, device=META) > 0]
    values = torch.ones(3, device=META)
    with Transfers() as seen:
        values.new_tensor(1.0)
        values[torch.tensor([0, 1])] = 0.0
        values + 1.0, values * torch.tensor(2.0)
    assert len(seen.found) == 2, seen.found
