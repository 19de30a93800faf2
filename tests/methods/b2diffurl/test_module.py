"""A stage in Lightning's hands: what it costs, what it changes, and what happens when nothing is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from src.core.checkpoint import check_identity
from src.core.errors import UserError
from src.core.keeping import KeepWeights, about
from src.core.states import KEPT, State
from src.methods.b2diffurl.evaluation import EVALUATION_STAGE
from src.methods.b2diffurl.objectives.dpok import DPOK
from src.rewards.mix import MixReward
from tests.methods.b2diffurl.conftest import fit, trainer_for
from tests.methods.b2diffurl.rewards import Judge, Redness


class Rows:
    """Counts the rows that go into a UNet, apart from the model's own counter."""

    def __init__(self, unet: nn.Module) -> None:
        self.rollout = self.update = 0
        unet.register_forward_pre_hook(self._count)

    def _count(self, unet: nn.Module, inputs: tuple) -> None:
        if torch.is_grad_enabled():
            self.update += len(inputs[0])
        else:
            self.rollout += len(inputs[0])


# --- costs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "rows"), [(1.0, 1), (3.0, 2)])
@pytest.mark.parametrize(("interval", "branches"), [(1, 3), (3, 2), (4, 3), (4, 1)])
def test_sampling_a_stage_costs_what_the_paper_says(loaded, scale, rows, interval, branches) -> None:
    """N ((T - s) + K s) evaluations, twice that with guidance, whatever the rollout's batch."""
    for batch in (64, 5):
        module = loaded(interval={"shape": "constant", "start": interval}, branches=branches, guidance_scale=scale,
                        normaliser="prompt", rollout_batch=batch)
        counted = Rows(module.unet)
        module.collect(stage=0)
        assert counted.rollout == module.model.evaluations == rows * 2 * ((4 - interval) + branches * interval)
        assert module.queries == 2 * branches


@pytest.mark.parametrize("replay", ["never", "always"])
def test_evaluations_in_the_figures_are_those_that_were_counted(make, replay) -> None:
    """Sampling, replay and updates; evaluation pictures are not training's cost."""

    class Counting(Callback):
        def on_train_start(self, trainer, module) -> None:
            self.rows = Rows(module.unet)

        def on_validation_start(self, trainer, module) -> None:
            self.before = self.rows.rollout

        def on_validation_end(self, trainer, module) -> None:
            self.drawn = self.rows.rollout - self.before

    interval = {"shape": "linear", "start": 2, "end": 3}
    module, counting = make(stages=2, eval_every=2, replay=replay, interval=interval), Counting()
    figures = fit(module, counting)
    rows = counting.rows
    assert counting.drawn == 2 * 4 * 4 * 2  # guidance, T steps, 2 prompts x 2 pictures of each split, 2 splits
    assert figures["cost/unet_evaluations"] == rows.rollout - counting.drawn + rows.update
    sampling = sum(2 * 2 * ((4 - s) + 3 * s) for s in (2, 3))
    # 6 samples in two updates of 3; their pairs in micro-batches of 4, the last one filled up.
    updates = sum(2 * 4 * -(-(size * s) // 4) for s in (2, 3) for size in (3, 3))
    assert figures["cost/unet_evaluations"] == sampling + updates * (2 if replay == "always" else 1)
    assert figures["cost/reward_queries"] == module.queries == 12
    assert all(figures[f"cost/seconds_{phase}"] > 0 for phase in ("sample", "score", "train"))


# --- what is trained -------------------------------------------------------------------------------------------------


def frozen(module) -> list[torch.Tensor]:
    parts = (module.unet, module.model.vae, module.model.text.network)
    return [p.detach().clone() for part in parts for p in part.parameters() if not p.requires_grad]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_trap_12_the_adapter_learns_in_float32_and_nothing_else_moves(make, dtype) -> None:
    class Snapshot(Callback):
        def on_train_start(self, trainer, module) -> None:
            self.frozen, self.trained = frozen(module), module.model.trainable_state()

    module, before = make(dtype=dtype, replay="auto", lr=1e-5), Snapshot()
    figures = fit(module, before)
    trained = module.model.trainable_parameters()
    assert {p.dtype for p in trained} == {torch.float32}
    assert {p.dtype for p in module.unet.parameters() if not p.requires_grad} == {getattr(torch, dtype)}
    after = module.state_dict()  # moved in steps of 1e-5, which bfloat16 weights would not take
    moved = [name for name in after if not torch.equal(after[name], before.trained[name])]
    assert len(moved) > 0.8 * len(after)  # queries of a picture of one latent pixel have no gradient
    assert all(torch.equal(now, then) for now, then in zip(frozen(module), before.frozen, strict=True))
    assert figures["policy/first_ratio_dev"] <= (1e-5 if dtype == "float32" else 0)
    assert 0 < figures["policy/ratio_max_dev"] < 0.1


def test_the_whole_unet_can_be_trained_instead(make) -> None:
    module = make(lora_rank=0, lr=1e-5, grad_clip=1.0)
    figures = fit(module)
    assert set(module.state_dict()) == set(module.unet.state_dict())
    assert figures["policy/first_ratio_dev"] < 1e-5 < figures["policy/ratio_max_dev"]


@pytest.mark.parametrize(("schedule", "rates"), [("constant", [1e-3] * 4), ("linear", [1e-3, 7.5e-4, 5e-4, 2.5e-4])])
def test_the_learning_rate_of_each_stage(make, schedule, rates) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
            self.seen.append(optimizer.param_groups[0]["lr"])

    seen = Rates()
    fit(make(stages=4, lr_schedule=schedule, samples_per_update=6, micro_batch=64), seen)
    assert seen.seen == pytest.approx(rates)


def test_trap_3_no_dropout_whoever_calls_train(make) -> None:
    class Meddler(Callback):
        def on_train_start(self, trainer, module) -> None:
            for part in module.unet.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.5

        def on_train_batch_start(self, trainer, module, batch, index) -> None:
            module.train()

    module = make(replay="always", gradient_checkpointing=True)
    figures = fit(module, Meddler())
    assert sum(isinstance(part, nn.Dropout) and part.p > 0 for part in module.unet.modules()) > 5
    assert figures["policy/first_ratio_dev"] == 0
    assert not any(part.training for part in module.unet.modules())


def test_branches_lift_the_rewards_of_their_update(make) -> None:
    """The sign of it all: after a stage, what was above average is likelier than before, and what was below is not."""

    class Last(Callback):
        def on_train_batch_end(self, trainer, module, *_) -> None:
            self.kept = module.kept

    from src.methods.b2diffurl.update import replayed

    module, last = make(samples_per_update=12, lr=1e-4), Last()
    fit(module, last)
    now = replayed(module.denoise, module.ddim, last.kept, [torch.arange(6)], 12).old_log_probs
    moved = now - last.kept.old_log_probs
    assert (moved.mean(1) * last.kept.advantages).mean() > 0


# --- an empty selection ----------------------------------------------------------------------------------------------


def test_trap_7_an_empty_selection_skips_the_update_says_so_and_goes_on(make) -> None:
    class Strict(Callback):
        """Nothing passes the thresholds of the first stage."""

        def on_train_epoch_start(self, trainer, module) -> None:
            module.choice = replace(module.choice, positive_threshold=(99, 0.1)[trainer.current_epoch],
                                    negative_threshold=(-99, -0.1)[trainer.current_epoch])

        def on_train_start(self, trainer, module) -> None:
            self.states = [module.state_dict()]

        def on_train_epoch_end(self, trainer, module) -> None:
            self.states.append(module.state_dict())

    module, strict = make(stages=2, selection="reference", eval_every=1), Strict()
    with pytest.warns(UserWarning, match="stage 1.*the update is skipped"):
        figures = fit(module, strict)
    first, second, third = strict.states
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(second[name], third[name]) for name in first)
    assert figures["select/samples"] > 0 and module.queries == 12


@pytest.mark.parametrize("options", [
    {}, {"selection": "reference"}, {"selection": "best_worst", "inner_epochs": 3},
    {"selection": "reference", "positive_threshold": 99.0, "negative_threshold": -99.0},
    {"branches": 1, "normaliser": "global", "selection": "best_worst"},
])
def test_a_stage_has_as_many_batches_as_it_said(loaded, options) -> None:
    """... whatever is kept: Lightning would fetch a batch of unknown number ahead, out of an unfinished update."""
    module = loaded(prompts_per_stage=3, **options)
    assert len(module.collect(stage=0)) == module.updates_per_stage == len(module.train_dataloader())


# --- rollouts --------------------------------------------------------------------------------------------------------


def test_trap_8_the_same_pictures_whatever_the_rollout_batch(loaded) -> None:
    kept = []
    for batch in (1, 5, 64):
        module = loaded(rollout_batch=batch)
        module.collect(stage=3)
        kept.append((module.kept.trajectory, module.kept.advantages))
    for trajectory, advantages in kept[1:]:
        torch.testing.assert_close(trajectory, kept[0][0], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(advantages, kept[0][1], atol=0.1, rtol=0.1)


def test_trap_8_stages_and_seeds_have_noise_of_their_own(loaded) -> None:
    module = loaded()
    trajectories = []
    for seed, stage in ((0, 0), (0, 1), (1, 0)):
        module.seed = seed
        module.collect(stage)
        trajectories.append(module.kept.trajectory)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (trajectories[one] - trajectories[other]).abs().flatten(1).amax(1).min() > 0.1


def test_evaluation_noise_depends_on_slots_alone(loaded) -> None:
    module = loaded()
    index, slots = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 7])
    options = {"branches": 1, "interval": 4, "stage": EVALUATION_STAGE, "seed": 0, "keep": False}
    together = module.sample_latents(index, slots, **options).latents
    module.seed = 5
    alone = module.sample_latents(index[2:], slots[2:], **options).latents
    torch.testing.assert_close(alone, together[2:], atol=1e-3, rtol=1e-4)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_the_adapter_starts_from_the_runs_seed_alone(make) -> None:
    starts = []
    for seed, drawn_before in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(drawn_before)
        module = make()
        module.seed, module.trainer = seed, trainer_for(module)
        module.configure_model()
        starts.append(torch.cat([value.flatten() for value in module.state_dict().values()]))
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])


def test_an_interval_of_silent_steps_is_refused(sd_folder, tmp_path, make) -> None:
    import json
    import shutil

    folder = shutil.copytree(sd_folder, tmp_path / "to_one")
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"set_alpha_to_one": True}))
    with pytest.raises(UserError, match=r"interval=1.*no noise.*interval\.start=2"):
        fit(make(folder=folder, interval={"shape": "linear", "start": 1, "end": 4}))


def test_lightning_finds_nothing_but_what_is_trained_in_the_checkpoint(make) -> None:
    module = make()
    fit(module)
    assert set(module.state_dict()) == set(module.model.trainable_state()) and all(
        "lora" in name for name in module.state_dict())


def test_a_checkpoint_of_another_objective_is_refused(make, tmp_path: Path) -> None:
    content = {"identity": make().identity()}
    check_identity(content, make(), tmp_path)
    with pytest.raises(UserError, match=r"from objective=ddpo, this run is objective=dpok"):
        check_identity(content, make(objective=DPOK(kl_weight=0.1)), tmp_path)


def test_a_mix_shows_its_parts_every_stage(make) -> None:
    module = make()
    module.reward = MixReward(parts={"a": 2.0, "b": -1.0}, rewards={"a": Redness(), "b": Judge()})
    shown = fit(module)
    assert shown["reward/mix_a"] == shown["reward/mix_b"]  # the same formula
    assert shown["reward/mean"] == pytest.approx(shown["reward/mix_a"], abs=1e-6)


def test_what_is_kept_on_the_way_knows_what_it_has_cost(make) -> None:
    """The stage's own evaluations of the UNet too, although the stage is logged after its files are written."""
    module, rows = make(stages=3), []

    class Logged(Callback):
        def on_train_epoch_end(self, trainer, pl_module) -> None:
            rows.append(pl_module.costs)

    logged = fit(module, KeepWeights(every_n_epochs=1), Logged())
    kept = [about(State(file), module)["costs"] for file in sorted((module.run_dir / KEPT).glob("*"))]
    assert kept == rows and len(kept) == 3
    counts = [costs["cost/unet_evaluations"] for costs in kept]
    assert 0 < counts[0] < counts[1] < counts[2] == logged["cost/unet_evaluations"]


def test_the_exported_card_says_how_the_run_drew(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, told = make(), {}
    (tmp_path / "metrics.json").write_text('{"command": "python -m src.run seed=3"}')
    monkeypatch.setattr(module.model, "export", lambda folder, **given: told.update(given))
    module.export(tmp_path / "export")
    assert told["call"] == {"prompt": "a red cat", "num_inference_steps": 4, "eta": 1.0, "guidance_scale": 3.0,
                            "guidance_rescale": 0.0}
    assert told["command"] == "python -m src.run seed=3" and "redness" in dict(told["facts"])["reward"]
