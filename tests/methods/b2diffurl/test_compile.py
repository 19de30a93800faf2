"""`method.compile=true`: the same training by compiled code under the same names; a sentence where nothing compiles."""

from __future__ import annotations

import pytest
import torch

from src.core import compiler
from src.methods.b2diffurl.check import check
from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.update import log_prob, pairs_of
from tests.methods.b2diffurl.conftest import fit


def test_the_names_in_a_checkpoint_stay(loaded) -> None:
    plain, compiled = loaded(), loaded(compile=True)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    assert compiled.unet._compiled_call_impl is not None and plain.unet._compiled_call_impl is None


def test_old_probabilities_come_from_the_update_s_code(make) -> None:
    assert make(compile=True, replay="auto").needs_replay and not make(compile=True, replay="never").needs_replay


def test_a_machine_that_cannot_compile_is_told_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    (problem,) = [text for text in check({"method": {"compile": True}}) if "compile" in text]
    assert problem.startswith("method.compile=true: there is no C++ compiler (g++, clang++, cl)")
    assert "method.compile=false" in problem
    assert not [text for text in check({"method": {"compile": False}}) if "compile" in text]
    monkeypatch.setenv("CXX", "/nowhere/g++")
    assert "(/nowhere/g++)" in compiler.problems("method.compile", True)[0]


@pytest.mark.slow
def test_compiled_code_trains_the_same_at_a_ratio_of_one(make, loaded) -> None:
    """A KL takes the reference policy along, whose adapter is off; chunks of five leave a rest in every rollout."""
    if compiler.problems("method.compile", True):
        pytest.skip("no compiler here")
    options = {"objective": DDPO(kl_weight=0.1), "rollout_batch": 5, "replay": "auto", "stages": 2, "eval_every": 9}
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain, compiled = make(**options), make(**options, compile=True)
    expected, figures = fit(plain), fit(compiled)
    assert figures["policy/first_ratio_dev"] == 0.0
    for name in ("reward/mean", "policy/loss", "policy/grad_norm", "policy/kl_reference"):
        if name in expected:
            assert figures[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-6), name
    # AdamW's first steps are the gradients' signs: where one is near 0 rounding decides, for a few weights only
    apart = [(a - b).abs() for a, b in zip(plain.state_dict().values(), compiled.state_dict().values(), strict=True)]
    assert torch.cat([item.flatten() for item in apart]).quantile(0.9) < 1e-4
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs <= 5, f"{graphs} compilations for a run of two stages"
    assert torch._dynamo.utils.counters["graph_break"] == {}


@pytest.mark.slow
def test_without_replay_compiled_code_only_rounds(loaded) -> None:
    if compiler.problems("method.compile", True):
        pytest.skip("no compiler here")
    module = loaded(compile=True, replay="never")
    (part, *_) = module.collect(stage=0)
    for pairs in pairs_of(part, len(module.kept.step_indices), module.micro_batch):
        new = log_prob(module.denoise, module.ddim, module.kept, pairs)
        old = module.kept.old_log_probs[pairs.sample, pairs.step][: pairs.real]
        assert (new.detach() - old).abs().max() < 1e-5 and new.requires_grad
