"""The update on (sample, step) pairs: which pairs, with which probabilities, and which gradient they add up to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from src.methods.b2diffurl.noise import keyed_permutation
from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.update import log_prob, pairs_of, replayed, updates
from src.models.sdxl import StableDiffusionXL
from tests.methods.b2diffurl.conftest import fit

# --- which pairs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro_batch", [1, 4, 5, 15, 64])
def test_micro_batches_cover_every_pair_once_and_have_one_shape(micro_batch: int) -> None:
    samples = torch.tensor([7, 2, 9, 4, 0])
    found = []
    for pairs in pairs_of(samples, 3, micro_batch):
        assert pairs.sample.shape == pairs.step.shape == (micro_batch,)
        found += zip(pairs.sample[: pairs.real].tolist(), pairs.step[: pairs.real].tolist(), strict=True)
    assert found == [(sample, step) for sample in samples.tolist() for step in range(3)]


@pytest.mark.parametrize("own", range(5))
def test_every_process_makes_as_many_micro_batches_as_the_busiest(own: int) -> None:
    """Four samples of 3 steps are 12 pairs: three micro-batches of 5."""
    found = list(pairs_of(torch.arange(own), 3, 5, most=4))
    assert len(found) == 3 and sum(pairs.real for pairs in found) == 3 * own
    assert all(len(pairs.sample) == (5 if pairs.real else 0) for pairs in found)


def test_each_inner_epoch_takes_every_sample_once_in_an_order_of_its_own() -> None:
    key = {"inner_epochs": 3, "samples_per_update": 8, "seed": 1, "stage": 2}
    plan = updates(20, **key)
    assert [len(part) for part in plan] == [7, 7, 6] * 3
    orders = [torch.cat(plan[start : start + 3]).tolist() for start in (0, 3, 6)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert torch.equal(torch.cat(updates(20, **key)), torch.cat(plan))
    assert not torch.equal(torch.cat(updates(20, **key | {"stage": 3})), torch.cat(plan))
    assert not torch.equal(torch.cat(updates(20, **key | {"seed": 2})), torch.cat(plan))
    assert not any(len(part) for part in updates(0, **key))


# --- the ratio before the first update -------------------------------------------------------------------------------


def first_log_ratios(module) -> Tensor:
    """log(pi / pi_old) of every pair as the stage's updates would see it, had none of them moved the weights."""
    parts = [samples for samples in module.collect(stage=0) if len(samples)]
    found = []
    for samples in parts:
        for pairs in pairs_of(samples, len(module.kept.step_indices), module.micro_batch):
            new = log_prob(module.denoise, module.ddim, module.kept, pairs)
            found.append(new - module.kept.old_log_probs[pairs.sample, pairs.step][: pairs.real])
    assert torch.cat(found).requires_grad
    return torch.cat(found).detach()


@pytest.mark.parametrize(("kept", "size", "group", "sizes"), [
    (129, 128, 1, [65, 64]), (128, 128, 1, [128]), (1, 128, 1, [1]), (10, 4, 1, [4, 3, 3]), (10, 4, 2, [4, 4, 2]),
    (8, 1, 2, [2, 2, 2, 2]),
])
def test_no_update_is_left_with_a_rest(kept: int, size: int, group: int, sizes: list[int]) -> None:
    plan = updates(kept, inner_epochs=1, samples_per_update=size, seed=0, stage=0, group=group)
    assert [len(part) for part in plan] == sizes


@pytest.mark.parametrize("group", [1, 2])
def test_every_process_has_its_share_of_every_update(group: int) -> None:
    """The reference's sizes: each of 256 trunks keeps two samples, 128 an update, on 32 processes."""
    plan = updates(512, inner_epochs=2, samples_per_update=128, seed=0, stage=0, group=group)
    assert len(plan) == 8
    for part in plan:
        assert part.div(512 // 32, rounding_mode="floor").bincount().tolist() == [4] * 32


def test_siblings_meet_in_an_update_as_eight_neighbours_dealt_to_four_steps_do() -> None:
    plans = [updates(512, inner_epochs=1, samples_per_update=128, seed=0, stage=stage) for stage in range(20)]
    together = sum(int((part.div(2, rounding_mode="floor").bincount() == 2).sum()) for plan in plans for part in plan)
    assert together / (20 * 256) == pytest.approx(1 / 7, abs=0.02)


def test_a_single_update_takes_the_samples_in_the_order_of_the_permutation() -> None:
    (part,) = updates(96, inner_epochs=1, samples_per_update=96, seed=3, stage=4)
    assert torch.equal(part, keyed_permutation(96, seed=3, stage=4, stream=0))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
# 6 samples x 3 steps: two updates of 9 pairs each
@pytest.mark.parametrize("micro_batch", [1, 5, 16, *(pytest.param(size, marks=pytest.mark.slow) for size in (4, 6))])
def test_trap_1_the_ratio_is_exactly_one_with_replay(loaded, dtype: str, micro_batch: int) -> None:
    ratios = first_log_ratios(loaded(dtype=dtype, micro_batch=micro_batch, replay="always")).exp()
    assert len(ratios) == 18 and (ratios == 1).all()


def test_trap_1_the_ratio_is_exactly_one_with_several_threads(loaded) -> None:
    """Then the rows of a batch are dealt to threads, and a row's rounding depends on its place."""
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for micro_batch in (5, 7):
            assert (first_log_ratios(loaded(micro_batch=micro_batch, replay="always", inner_epochs=2))[:18] == 0).all()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("micro_batch", [5, 64])
def test_trap_1_without_replay_float32_only_rounds(loaded, micro_batch: int) -> None:
    ratios = first_log_ratios(loaded(micro_batch=micro_batch)).exp()
    assert (ratios - 1).abs().max() < 1e-5


def test_trap_1_the_ratio_is_exactly_one_with_two_text_encoders(make, sdxl_folder: Path) -> None:
    options = {"dtype": "bfloat16", "replay": "auto", "guidance_rescale": 0.7, "grad_clip": 1.0}
    figures = fit(make(folder=sdxl_folder, kind=StableDiffusionXL, **options))
    assert figures["policy/first_ratio_dev"] == 0 and figures["policy/grad_norm"] > 0


def test_on_a_cpu_replay_is_automatic_in_half_precision_only(loaded) -> None:
    needed = []
    for dtype in ("float32", "bfloat16"):
        module = loaded(dtype=dtype)
        for module.replay in ("auto", "always", "never"):
            needed += [(dtype, module.replay)] if module.needs_replay else []
    assert needed == [("float32", "always"), ("bfloat16", "auto"), ("bfloat16", "always")]


def test_trap_1_latents_stay_in_float32_below_a_half_precision_model(loaded) -> None:
    module = loaded(dtype="bfloat16", replay="auto")
    module.collect(stage=0)
    kept = module.kept
    assert kept.trajectory.dtype == kept.old_log_probs.dtype == torch.float32
    assert not torch.equal(kept.trajectory, kept.trajectory.bfloat16().float())


@pytest.mark.parametrize(("scale", "rescale"), [(1.0, 0.0), (5.0, 0.0), (5.0, 0.7)])
def test_trap_4_guidance_is_the_same_in_rollout_and_update(loaded, scale: float, rescale: float) -> None:
    module = loaded(guidance_scale=scale, guidance_rescale=rescale)
    module.collect(stage=0)
    rolled = module.kept.old_log_probs
    again = replayed(module.denoise, module.ddim, module.kept, [torch.arange(6)], 6).old_log_probs
    torch.testing.assert_close(again, rolled, atol=1e-5, rtol=1e-5)
    module.guidance_scale = 3.0
    other = replayed(module.denoise, module.ddim, module.kept, [torch.arange(6)], 6).old_log_probs
    assert (other - rolled).abs().max() > 1e-3


def test_trap_2_a_last_step_without_noise_is_left_out(sd_folder: Path, tmp_path: Path, make) -> None:
    folder = shutil.copytree(sd_folder, tmp_path / "to_one")
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"set_alpha_to_one": True}))
    module = make(folder=folder)
    seen = Watch()
    figures = fit(module, seen)
    assert module.ddim.sigma[-1] == 0 and module.usable == 3
    (kept,) = seen.kept
    assert kept.step_indices.tolist() == [1, 2] and kept.trajectory.shape[:2] == (6, 3)
    assert kept.old_log_probs.shape == (6, 2)
    assert kept.old_log_probs.isfinite().all() and (kept.old_log_probs != 0).all()
    assert all(gradient.isfinite().all() for gradients in seen.gradients for gradient in gradients)
    assert figures["policy/first_ratio_dev"] < 1e-5


# --- the gradient ----------------------------------------------------------------------------------------------------


class Watch(Callback):
    """Keeps each optimiser step's gradients beside those of a loop over pairs, before the weights move."""

    def __init__(self, objective: DDPO | None = None) -> None:
        self.objective = objective
        self.gradients: list[list[Tensor]] = []
        self.expected: list[list[Tensor]] = []
        self.kept: list = []

    def on_train_batch_start(self, trainer, module, batch, index) -> None:
        self.samples = batch.samples
        if index == 0:
            self.kept.append(module.kept)

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.gradients.append([p.grad.clone() for p in module.model.trainable_parameters()])
        if self.objective is not None:
            self.expected.append(slow_gradient(module, self.samples.tolist(), self.objective))


def slow_gradient(module, samples: list[int], objective: DDPO) -> list[Tensor]:
    """The gradient of the mean clipped loss over samples and steps, one pair at a time, by `torch.distributions`."""
    kept, model = module.kept, module.model
    total = torch.zeros(())
    with torch.enable_grad():
        for m in samples:
            for j, step in enumerate(kept.step_indices.tolist()):
                text = module.embeddings[kept.prompt_index[m]][None]
                x, following = kept.trajectory[m, j][None], kept.trajectory[m, j + 1][None]
                timestep = module.ddim.timesteps[step][None]
                output = model.denoise(x, timestep, text, 1.0)
                if module.guidance_scale > 1:
                    free = model.denoise(x, timestep, model.empty_embedding, 1.0)
                    output = free + module.guidance_scale * (output - free)
                normal = torch.distributions.Normal(module.ddim.mean(x, output, step), module.ddim.sigma[step])
                log_ratio = normal.log_prob(following).mean() - kept.old_log_probs[m, j]
                sigma = module.ddim.sigma[kept.step_indices]
                weight = (sigma[j] / sigma.mean()) if objective.weighting == "sigma" else 1.0
                ratio, advantage = (weight * log_ratio).exp(), kept.advantages[m]
                clipped = ratio.clamp(1 - objective.clip_range, 1 + objective.clip_range)
                total = total + torch.maximum(-advantage * ratio, -advantage * clipped)
        return list(torch.autograd.grad(total / (len(samples) * len(kept.step_indices)), model.trainable_parameters()))


def close(found: list[list[Tensor]], expected: list[list[Tensor]]) -> None:
    """All gradients agree, relative to the largest of their tensor."""
    assert len(found) == len(expected) > 0
    for some, others in zip(found, expected, strict=True):
        scale = max(float(gradient.abs().max()) for gradient in others)
        assert scale > 0
        for one, other in zip(some, others, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize(
    "options",
    [
        {"stages": 2, "interval": {"shape": "linear", "start": 2, "end": 4}},  # two updates a stage, of 4 and 2 samples
        {"objective": DDPO(clip_range=1e-4, weighting="sigma"), "guidance_scale": 1.0, "inner_epochs": 2},
        {"selection": "best_worst", "micro_batch": 64, "samples_per_update": 64, "negative_weight": 0.5},
    ],
)
def test_trap_7_the_loss_is_the_mean_over_samples_and_steps(make, options: dict) -> None:
    """... at every update of every stage: nothing is left over from the one before."""
    objective = options.setdefault("objective", DDPO())
    watch = Watch(objective)
    fit(make(**options), watch)
    close(watch.gradients, watch.expected)


def test_trap_7_the_gradient_does_not_depend_on_the_micro_batch(make) -> None:
    found = []
    for micro_batch in (1, 4, 7, 64):
        watch = Watch()
        fit(make(micro_batch=micro_batch, samples_per_update=64), watch)
        found.append(watch.gradients)
    for other in found[1:]:
        close(other, found[0])


def test_the_last_micro_batch_of_each_update_is_announced(make, monkeypatch) -> None:
    module, told = make(), []  # two updates of 3 samples x 3 steps
    monkeypatch.setattr(module.model, "ends_update", told.append)
    fit(module)
    assert told == [False, False, True] * 2


def test_the_gradients_of_ranks_that_share_an_update_add_up(make, monkeypatch) -> None:
    found = {}
    for name, part in {"both": slice(None), "first": slice(0, 2), "second": slice(2, None)}.items():
        module, watch = make(samples_per_update=64), Watch()
        monkeypatch.setattr(module, "own", lambda samples, own=module.own, part=part: own(samples)[part])
        fit(module, watch)
        (found[name],) = watch.gradients
    close([[one + other for one, other in zip(found["first"], found["second"], strict=True)]], [found["both"]])


@pytest.mark.parametrize("grad_clip", [None, 1e-3])
def test_the_norm_of_the_gradient_is_clipped_and_logged_before_clipping(make, grad_clip) -> None:
    watch = Watch()
    figures = fit(make(grad_clip=grad_clip, samples_per_update=64), watch)
    norm = torch.cat([gradient.flatten() for gradient in watch.gradients[0]]).norm().item()
    if grad_clip is None:
        assert norm > 1e-3 and "policy/grad_norm" not in figures
    else:
        assert norm == pytest.approx(grad_clip, rel=1e-3) and figures["policy/grad_norm"] > 10 * grad_clip
