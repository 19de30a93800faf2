"""A run that is continued or evaluated has the values that it was made with, whatever became of its recipe."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import yaml

from src.core.config import drift, plan
from src.core.errors import UserError

RECIPE = "# @package _global_\nmethod:\n  lr: {lr}\n  shape:\n    size: 3\n"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A run folder as a run of a recipe with method.lr=0.5 leaves it, and the recipe, edited since to 0.25."""
    (tmp_path / "experiment").mkdir()
    recipe = tmp_path / "experiment" / "mine.yaml"
    recipe.write_text(RECIPE.format(lr=0.5))
    overrides = ["method=toy", "experiment=mine", "method.width=8"]
    run = tmp_path / "runs" / "made"
    run.mkdir(parents=True)
    cfg = plan.make([*overrides, f"output_dir={tmp_path}"], roots(run)).cfg
    (run / "config.yaml").write_text(yaml.safe_dump(cfg | {"logger": None}))
    (run / "overrides.txt").write_text("\n".join([*overrides, f"output_dir={tmp_path}"]))
    recipe.write_text(RECIPE.format(lr=0.25))
    return run


def planned(run: Path, *given: str) -> plan.Plan:
    return plan.make([f"resume={run}", *given], roots(run))


def roots(run: Path) -> list[Path]:
    return [Path(__file__).parents[1] / "conf", run.parents[1]]


@pytest.mark.parametrize("given", [[], ["method=toy", "experiment=mine"], ["method.kind=fancy"]])
def test_a_value_that_a_recipe_has_changed_since_is_told(made: Path, given: list[str]) -> None:
    with pytest.raises(UserError) as error:
        planned(made, *given)
    assert error.value.lines() == [
        "method.lr=0.25: the run was made with method.lr=0.5, and a recipe or a default has changed since. "
        f"Type method.lr=0.5 or method.lr=0.25 with resume={made}"]


def test_a_recipe_that_is_gone_may_be_replaced(made: Path) -> None:
    (made.parents[1] / "experiment" / "mine.yaml").rename(made.parents[1] / "experiment" / "moved.yaml")
    assert planned(made, "experiment=moved").cfg["method"]["lr"] == 0.25
    with pytest.raises(UserError, match="mine"):
        planned(made)


@pytest.fixture
def kept(made: Path) -> Path:
    """The run with a checkpoint, and a second recipe."""
    (made / "checkpoints").mkdir()
    with zipfile.ZipFile(made / "checkpoints" / "last.ckpt", "w") as archive:
        archive.writestr("data", "")
    (made.parents[1] / "experiment" / "other.yaml").write_text(RECIPE.format(lr=0.125))
    return made


def test_what_is_chosen_on_this_line_is_asked_for_with_all_that_it_brings(kept: Path) -> None:
    """As ``debug=tiny`` for runs of the usual size."""
    for given, brings in (["experiment=other"], {"method.lr"}), ([], set()):
        typed = plan.make(["mode=protocol", f"ckpt={kept}", *given], roots(kept)).typed
        assert {key for key in typed if key.startswith("method.")} == brings


def test_an_evaluation_of_its_checkpoint_tells_it_too(kept: Path) -> None:
    for given in (["mode=eval"], ["mode=sample", "prompts=[a]"]):
        with pytest.raises(UserError, match=r"Type method\.lr=0\.5 or method\.lr=0\.25"):
            plan.make([*given, f"ckpt={kept}"], roots(kept))
    assert plan.make(["mode=eval", f"ckpt={kept}", "method.lr=0.5"], roots(kept)).cfg["method"]["lr"] == 0.5


@pytest.mark.parametrize(("given", "lr"), [
    (["method.lr=0.5"], 0.5), (["method.lr=0.25"], 0.25), (["experiment=other"], 0.125)])
def test_what_is_typed_is_no_such_change(made: Path, given: list[str], lr: float) -> None:
    (made.parents[1] / "experiment" / "other.yaml").write_text(RECIPE.format(lr=0.125))
    assert planned(made, *given).cfg["method"]["lr"] == lr


def test_keys_that_came_with_a_version_and_those_beside_the_result_are_passed_over() -> None:
    made = {"a": 1, "part": {"_target_": "old.place.Part", "lr": 1, "compile": True, "gone": 1}, "same": {"steps": 2}}
    now = {"b": 1, "part": {"_target_": "place.Part", "lr": 2, "compile": False, "new": 1}, "same": "${other}"}
    assert list(drift.differences(made, now)) == [("part.lr", 1, 2)]
    now["part"]["_target_"] = "place.Other"
    assert list(drift.differences(made, now)) == [("part._target_", "old.place.Part", "place.Other")]


@pytest.mark.parametrize(("value", "text"), [
    (None, "a.b=null"), (True, "a.b=true"), (0.5, "a.b=0.5"), ("null", "\"a.b='null'\""),
    ([None, "a b", {"c": False}], "'a.b=[null,a b,{c: false}]'"), ("x" * 200, "a.b=" + "x" * 76 + "...")])
def test_values_are_told_as_they_are_typed(value: object, text: str) -> None:
    assert drift.told("a.b", value) == text


def test_a_mapping_of_the_users_own_keys_is_one_value() -> None:
    """A key there does not come with a version, and typing the old mapping would only be added to the new one."""
    made, now = {"reward": {"parts": {"clip": 1.0}}}, {"reward": {"parts": {"clip": 1.0, "hps": 2.0}}}
    change, = drift.differences(made, now)
    assert change == ("reward.parts", {"clip": 1.0}, {"clip": 1.0, "hps": 2.0})
    assert drift.either(*change) == "put the old value back (the run's config.yaml has it), or type reward.parts=..."
    assert list(drift.differences(made, {"reward": {"parts": {"clip": 0.5}}})) == [("reward.parts.clip", 1.0, 0.5)]


def test_a_value_too_long_to_type_is_to_be_put_back() -> None:
    assert drift.either("a.b", ["x" * 100], []).startswith("put the old value back")


def test_how_a_scorer_computes_is_no_change() -> None:
    made = {"scorers": {"clip": {"batch_size": 4, "device": None}}, "method": {"batch_size": 4}}
    now = {"scorers": {"clip": {"batch_size": 8, "device": "cpu"}}, "method": {"batch_size": 8}}
    assert list(drift.differences(made, now)) == [("method.batch_size", 4, 8)]
