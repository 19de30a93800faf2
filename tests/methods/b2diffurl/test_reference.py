"""The pretrained policy beside the trained one: what it says, what it costs, and a tiny fit of every objective."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Callback

from src.core.errors import UserError
from src.methods.b2diffurl.objectives.d3po import D3PO
from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.objectives.dpok import DPOK
from src.methods.b2diffurl.objectives.grpo import GRPO
from src.methods.b2diffurl.update import pairs_of, policy, replayed
from tests.methods.b2diffurl.conftest import fit

COUPLES = {"selection": "best_worst", "normaliser": "trunk"}
PLAIN = {"interval": {"shape": "constant", "start": None}, "normaliser": "global"}


def shaken(module) -> None:
    """An adapter that has learnt something; it starts as nothing."""
    with torch.no_grad():
        for place, parameter in enumerate(module.model.trainable_parameters()):
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(place))


@pytest.mark.parametrize("objective", [DPOK(), D3PO(kl_weight=0.1), D3PO()])
def test_the_reference_is_the_policy_without_its_adapter(loaded, objective) -> None:
    module = loaded(objective=objective, **COUPLES)
    shaken(module)
    module.collect(stage=0)
    kept, model = module.kept, module.model
    step = kept.step_indices[1]
    with model.reference():
        output = module.denoise(kept.trajectory[:, 1], step.expand(len(kept)), kept.prompt_index)
    mean = module.ddim.mean(kept.trajectory[:, 1], output, step)
    expected = module.ddim.log_prob(kept.trajectory[:, 2], mean, step)
    torch.testing.assert_close(kept.reference_log_probs[:, 1], expected, atol=1e-5, rtol=1e-4)
    assert (expected - kept.old_log_probs[:, 1]).abs().min() > 1e-4
    assert (kept.reference_means is None) == (objective.kl_weight == 0)
    if objective.kl_weight:
        torch.testing.assert_close(kept.reference_means[:, 1], mean, atol=1e-4, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in model.trainable_parameters())


@pytest.mark.parametrize(("objective", "passes"), [(DDPO(), 0), (GRPO(kl_weight=0.0), 0), (DPOK(), 1), (D3PO(), 1)])
def test_one_evaluation_a_pair_and_stage_or_none(loaded, objective, passes) -> None:
    module = loaded(objective=objective, guidance_scale=1.0, inner_epochs=3, **COUPLES)
    module.collect(stage=0)
    assert len(module.kept) == 4
    # Two trunks and their branches, then 4 samples x 3 steps in micro-batches of 4.
    assert module.model.evaluations == 2 * (1 + 3 * 3) + passes * 4 * 3
    assert (module.kept.reference_log_probs is None) == (passes == 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("micro_batch", [2, 6, 64])
def test_trap_1_before_the_first_update_ratio_is_1_and_the_kl_0_to_the_bit(loaded, dtype, micro_batch) -> None:
    """... for couples too, whose micro-batches are put together in another way."""
    options = {"dtype": dtype, "micro_batch": micro_batch, "replay": "always", "guidance_scale": 1.0}
    module = loaded(objective=D3PO(kl_weight=0.1), **options, **COUPLES)
    for samples in (part for part in module.collect(stage=0) if len(part)):
        for pairs in pairs_of(samples, len(module.kept.step_indices), micro_batch, module.kept.group):
            place = pairs.sample[: pairs.real], pairs.step[: pairs.real]
            mean, new = policy(module.denoise, module.ddim, module.kept, pairs)
            assert torch.equal(new, module.kept.old_log_probs[place])
            assert torch.equal(new, module.kept.reference_log_probs[place])
            assert torch.equal(mean, module.kept.reference_means[place])


class Kepts(Callback):
    """Every stage's kept samples."""

    def __init__(self) -> None:
        self.seen: list = []

    def on_train_batch_start(self, trainer, module, batch, index) -> None:
        if index == 0:
            self.seen.append(module.kept)


@pytest.mark.parametrize(("objective", "options"), [
    (DPOK(weighting="sigma"), {"branches": 1, **PLAIN}),
    (GRPO(), {}),
    (D3PO(beta=5.0, kl_weight=0.1, weighting="sigma"), {"selection": "all"}),
    (D3PO(), {"branches": 2, "prompts_per_stage": 3, **PLAIN, **COUPLES}),
], ids=["dpok", "grpo with branches", "d3po with branches", "d3po"])
def test_a_tiny_fit(make, objective, options) -> None:
    module, kepts = make(objective=objective, stages=2, lr=1e-2, inner_epochs=2, guidance_scale=1.0, **options), Kepts()
    figures = fit(module, kepts)
    assert figures["policy/first_ratio_dev"] < 1e-5 < figures["policy/ratio_max_dev"]
    assert ("policy/kl_reference" in figures) == (objective.kl_weight > 0)
    if objective.kl_weight:
        assert figures["policy/kl_reference"] > 1e-7
    if objective.couples:
        assert figures["select/couples"] == 1 and figures["policy/preference_accuracy"] > 0
        assert len(kepts.seen[0]) == 2 * module.prompts_per_stage
        assert (kepts.seen[0].advantages.view(-1, 2).diff(dim=1) < 0).all()


def test_a_kl_pulls_the_policy_back(make) -> None:
    """From a policy far off, with no advantage to follow, a KL's gradient leads home."""

    class Shake(Callback):
        def on_train_start(self, trainer, module) -> None:
            shaken(module)

    module = make(objective=DPOK(kl_weight=1.0), lr=1e-3, guidance_scale=1.0, positive_weight=0.0, negative_weight=0.0,
                  inner_epochs=6, samples_per_update=12, micro_batch=18)
    fit(module, Shake())
    kl = [float(figures["policy/kl_reference"]) for figures in module.policy_stats]
    assert len(kl) == 6 and kl[-1] < 0.9 * kl[0]


def test_a_preference_makes_the_winner_likelier_than_the_loser(make) -> None:
    module, kepts = make(objective=D3PO(), lr=1e-4, guidance_scale=1.0, inner_epochs=3, samples_per_update=12,
                         micro_batch=12, **COUPLES), Kepts()
    fit(module, kepts)
    now = replayed(module.denoise, module.ddim, kepts.seen[0], [torch.arange(4)], 12).old_log_probs
    gain = (now - kepts.seen[0].reference_log_probs).view(2, 2, -1)  # [trunks, winner and loser, steps]
    assert (gain[:, 0] - gain[:, 1]).mean() > 0
    margins = [float(figures["policy/preference_margin"]) for figures in module.policy_stats]
    assert margins[0] == pytest.approx(0, abs=1e-6) and margins[-1] > margins[1] > 0


def test_a_unet_trained_as_a_whole_has_no_reference(make) -> None:
    with pytest.raises(UserError, match=r"lora_rank=0"):
        fit(make(objective=DPOK(), lora_rank=0))
