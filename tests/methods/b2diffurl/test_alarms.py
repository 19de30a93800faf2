"""Each alarm rises on a run that goes wrong and is silent on one that does not; a sabotaged fit raises one."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml

from src.core import console
from src.core.errors import UserError
from src.methods.b2diffurl.alarms import ADVICE, Limits, findings
from src.methods.b2diffurl.guard import Guard
from src.methods.b2diffurl.objectives.ddpo import DDPO
from src.methods.b2diffurl.update import Kept
from tests.methods.b2diffurl.conftest import fit

SOUND = {"select/frac_zero_std": 0.1, "select/positive_only": 0.3, "select/negative_only": 0.2, "select/both": 0.3,
         "select/none": 0.2, "policy/first_ratio_dev": 2e-6, "policy/approx_kl": 1e-6, "policy/kl_reference": 0.01,
         "policy/loss": 0.0}
NO_NEGATIVES = {"select/negative_only": 0.01, "select/both": 0.0}
NOTHING_KEPT = {f"select/{name}": 0.0 for name in ("positive_only", "negative_only", "both")}


def evaluations(reward: list[float], judge: list[float], diversity: list[float]) -> list[dict[str, float]]:
    return [{"eval/clip": r, "eval/judge": j, "diversity/latent": d}
            for r, j, d in zip(reward, judge, diversity, strict=True)]


def kinds(stages: list[dict], evals: list[dict] | None = None, branches: int = 5, limits: Limits | None = None) -> set:
    return set(findings(stages, evals or [], limits or Limits(), reward="clip", scorers=["judge", "clip"],
                        branches=branches))


def stages(*changes: dict) -> list[dict[str, float]]:
    return [SOUND | change for change in changes]


@pytest.mark.parametrize(("changes", "kind"), [
    ([{"policy/first_ratio_dev": 3e-3}], "ratio"),
    ([{"policy/approx_kl": 2e-3}], "kl"),
    ([{"policy/kl_reference": 0.2}], "kl"),
    ([{"policy/loss": float("nan")}], "not_finite"),
    ([{"policy/loss": float("-inf")}], "not_finite"),
    ([{"select/frac_zero_std": 0.6}] * 3, "zero_variance"),
    ([NO_NEGATIVES] * 3, "positives_only"),
])
def test_figures_beyond_their_limits(changes: list[dict], kind: str) -> None:
    assert kinds(stages({}, *changes)) == {kind}


@pytest.mark.parametrize("changes", [
    [{}, {}, {}],
    [{"policy/first_ratio_dev": 5e-5, "policy/approx_kl": 9e-4, "policy/kl_reference": 0.1}],
    [{"select/frac_zero_std": 0.9}] * 2,  # too short
    [{"select/frac_zero_std": 0.9}, {"select/frac_zero_std": 0.9}, {}],  # recovered
    [{"select/frac_zero_std": 0.9}, {}, {"select/frac_zero_std": 0.9}],  # interrupted
    [NO_NEGATIVES, NO_NEGATIVES, NOTHING_KEPT],
    [NOTHING_KEPT] * 3,
    [{"policy/approx_kl": 9.0}, {}],  # only the newest stage counts
])
def test_figures_within_their_limits(changes: list[dict]) -> None:
    assert kinds(stages(*changes)) == set()


def test_an_only_branch_never_ties() -> None:
    assert kinds(stages(*[{"select/frac_zero_std": 1.0}] * 3), branches=1) == set()


def test_a_stage_without_update_is_judged_by_what_it_has() -> None:
    assert kinds([{"select/frac_zero_std": 1.0}] * 3) == {"zero_variance"}
    assert kinds([{}] * 3) == set()


RISING = [0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(("reward", "judge", "diversity", "found"), [
    (RISING, [5.0, 5.5, 5.1, 5.0], [1.0] * 4, {"second_scorer"}),  # from the best, not from the first
    (RISING, [-0.1, -0.1, -0.3, -0.3], [1.0] * 4, {"second_scorer"}),  # a scorer with another sign
    (RISING, [5.0] * 4, [1.1, 1.0, 0.8, 0.6], {"diversity"}),
    (RISING, [5.0, 4.0, 3.0, 2.0], [1.0, 0.9, 0.7, 0.5], {"second_scorer", "diversity"}),
    (RISING, [5.0, 5.2, 5.4, 5.6], [1.14, 1.16, 1.07, 1.03], set()),  # a sound run
    (RISING, [5.0, 5.0, 5.0, 4.0], [1.0, 1.0, 1.0, 0.5], set()),  # once is chance
    (RISING, [5.0, 4.0, 4.0, 5.0], [1.0] * 4, set()),  # recovered
    ([0.5, 0.4, 0.3, 0.2], [5.0, 4.0, 3.0, 2.0], [1.0, 0.8, 0.6, 0.4], set()),  # everything falls: not hacking
    (RISING[:2], [5.0, 1.0], [1.0, 0.1], set()),  # too few evaluations
])
def test_reward_hacking(reward: list, judge: list, diversity: list, found: set) -> None:
    assert kinds([SOUND], evaluations(reward, judge, diversity)) == found


def test_evaluations_without_the_figures_are_silent() -> None:
    points = [{"eval/clip": value} for value in RISING]  # one picture a prompt, no second scorer
    assert kinds([SOUND], points) == set()


def test_findings_name_figure_and_limit() -> None:
    found = findings(stages({"policy/first_ratio_dev": 3e-3}), [], Limits(), reward="clip", scorers=[], branches=5)
    assert found == {"ratio": "policy/first_ratio_dev is 0.003, the limit is 0.0001"}


def test_the_yaml_has_every_limit_with_its_default() -> None:
    text = (Path(__file__).parents[3] / "conf/method/b2diffurl.yaml").read_text()
    node = yaml.safe_load(text)["callbacks"]["guard"]
    assert {name: value for name, value in node.items() if name != "_target_"} == vars(Limits())
    assert len(fields(Limits)) == len(node) - 1


@pytest.mark.parametrize(("option", "value"), [
    ("kl", -1.0), ("stages", 0), ("evaluations", 0), ("ratio", float("nan")),
])
def test_limits_that_cannot_be(option: str, value: float) -> None:
    with pytest.raises(UserError, match=f"callbacks.guard.{option}="):
        Guard(**{option: value})


# --- in a run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(console, "warn", lines.append)
    return lines


class Upside(DDPO):
    """Takes the loss of a ratio that is off."""

    def __call__(self, log_prob, old_log_prob, advantage, weight=None):
        return super().__call__(log_prob, old_log_prob - 0.5, advantage, weight)


def test_a_sabotaged_objective_raises_its_alarms_once(make, said: list[str]) -> None:
    figures = fit(make(stages=2, objective=Upside()), Guard())
    raised = {name for name, value in figures.items() if name.startswith("alarm/") and value}
    assert raised == {"alarm/ratio", "alarm/kl"}
    assert len(said) == 2 and "alarm/ratio at stage 1" in said[0] and ADVICE["ratio"] in said[0]


@pytest.mark.slow
def test_a_sound_fit_is_silent(make, said: list[str]) -> None:
    figures = fit(make(stages=4, eval_every=1), Guard())
    alarms = {name: value for name, value in figures.items() if name.startswith("alarm/")}
    assert alarms == {f"alarm/{kind}": 0.0 for kind in ADVICE} and not said


def test_a_loss_that_is_nan(make, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "of", staticmethod(_poisoned(Kept.of)))
    assert fit(make(), Guard())["alarm/not_finite"] == 1
    assert "policy/" in said[0] and "nan" in said[0]


def _poisoned(of):
    def kept(*args, **kwargs):
        found = of(*args, **kwargs)
        found.advantages.fill_(torch.nan)
        return found
    return kept


@pytest.mark.slow
def test_a_continued_run_neither_repeats_nor_forgets(make, said: list[str]) -> None:
    first = Guard()
    fit(make(stages=2, eval_every=1, objective=Upside()), first)
    state = json.loads(json.dumps(first.state_dict()))  # plain values alone
    second = Guard()
    second.load_state_dict(state)
    figures = fit(make(objective=Upside()), second)
    assert figures["alarm/ratio"] == 1 and len(said) == 2
    assert len(second.stages) == 3 and second.evaluations[:2] == first.evaluations


def test_the_evaluation_before_training_counts(make, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"eval/redness_before": 0.5, "seconds": 3.0, "x_before": None}))
    guard = Guard()
    fit(make(eval_every=1), guard)
    assert guard.evaluations[0] == {"eval/redness": 0.5} and len(guard.evaluations) == 2


@pytest.mark.parametrize("killed_after", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_alarms_of_a_run_that_was_stopped_and_continued(runner, said, monkeypatch, killed_after: int) -> None:
    """The checkpoint carries them: a limit of 0 stands for a run that goes wrong."""
    from src.core.callbacks import RunState
    from src.core.signals import StopRun

    limits = ["callbacks.guard.zero_variance=0", "callbacks.guard.negatives=1e9", "callbacks.guard.stages=1"]
    began = RunState.on_train_epoch_start

    def stopping(self, trainer, module) -> None:
        if trainer.current_epoch == killed_after:
            raise StopRun(15)
        began(self, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(RunState, "on_train_epoch_start", stopping)
        assert runner(*limits) == 143
    told = [line for line in said if "alarm/positives_only" in line]
    assert len(told) == 1
    assert runner(*limits, "resume=auto") == 0
    assert [line for line in said if "alarm/positives_only" in line] == told
    with (runner.folder / "metrics.csv").open(newline="") as stream:
        values = [row["alarm/positives_only"] for row in csv.DictReader(stream) if row.get("alarm/positives_only")]
    assert values == ["1.0"] * 3
