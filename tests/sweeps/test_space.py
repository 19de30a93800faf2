"""What varies, and which points are tried."""

import random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.core.config.compose import config_roots
from src.core.errors import UserError
from src.core.processes import neighbours
from src.sweeps import machine, space
from src.sweeps.default_metric import usual
from src.sweeps.objective import direction_of
from src.sweeps.record import folder_name, short_names
from src.sweeps.sweepers import Grid, RandomSearch


@pytest.fixture(scope="module")
def loader():
    with config_roots() as found:
        yield found


def test_values_of_file_and_command_line(loader):
    params = {"method.lr": "0.1,0.01", "seed": "range(0,3)", "method.layers": [[1, 2], [3]], "name": "x",
              "a": [1, None]}
    varied, base = space.read(params, ["seed=5", "method.kind=plain,fancy", "model=none"], loader)
    assert {key: one.values for key, one in varied.items()} == {
        "method.lr": ("0.1", "0.01"), "method.layers": ("[1,2]", "[3]"), "a": ("1", "null"),
        "method.kind": ("plain", "fancy")}
    assert base == ["seed=5", "name=x", "model=none"]


@pytest.mark.parametrize("text", ["a, b", "a,b", "{a: b}", "{a}", "a=b", "[1]", "interval(0,1)", "it's", "café #1", "",
                                  " a", "a: b", "a b", "x, y: z", "a\\b"])
def test_a_string_in_a_list_of_a_file_is_one_value(loader, text):
    varied, _ = space.read({"name": [text, "c"], "more": [[text, "c"], []], "deep": [{"key": text}, {}]}, [], loader)
    read = {key: [OverridesParser.create().parse_override(f"x={typed}").value() for typed in one.values]
            for key, one in varied.items()}
    assert read == {"name": [text, "c"], "more": [[text, "c"], []], "deep": [{"key": text}, {}]}


def test_a_string_in_a_file_is_typed_as_it_is(loader):
    varied, _ = space.read({"a": "x, y", "b": ["1e-3", "'2'", "null"]}, [], loader)
    assert {key: one.values for key, one in varied.items()} == {"a": ("x", "y"), "b": ("0.001", "'2'", "null")}


def test_options_of_a_group_by_pattern(loader):
    varied, _ = space.read({"objective": "glob(ddpo*)"}, [], loader)
    assert varied["objective"].values == ("ddpo", "ddpo_tight")


@pytest.mark.parametrize("text", ["interval(2,1)", "tag(log,interval(0,1))", "interval(1,1)", "range(3,3)", "[1"])
def test_what_cannot_be_drawn_from(loader, text):
    with pytest.raises(UserError):
        space.read({"x": text}, [], loader)


def test_grid_is_every_combination_with_the_last_key_fastest(loader):
    varied, _ = space.read({"a": "1,2", "b": "x,y"}, [], loader)
    assert [(point["a"], point["b"]) for point in Grid().points(varied)] == [("1", "x"), ("1", "y"), ("2", "x"),
                                                                            ("2", "y")]
    varied, _ = space.read({"a": "interval(0,1)"}, [], loader)
    with pytest.raises(UserError, match="hydra/sweeper=random"):
        Grid().points(varied)


def test_random_points_are_the_same_again_and_more_only_add(loader):
    params = {"lr": "tag(log,interval(1e-4,1e-1))", "n": "int(interval(1,4))", "kind": "a,b"}
    varied, _ = space.read(params, [], loader)
    few, many = (RandomSearch(n_trials=count, seed=3).points(varied) for count in (5, 60))
    assert many[:5] == few
    rates = [float(point["lr"]) for point in many]
    assert min(rates) >= 1e-4 and max(rates) <= 1e-1 and 0.2 < sum(rate < 10**-2.5 for rate in rates) / 60 < 0.8
    assert {point["n"] for point in many} == {"1", "2", "3", "4"} and {point["kind"] for point in many} == {"a", "b"}


def test_numbers_are_typed_briefly():
    assert space.Interval(0, 1).text(1 / 3) == "0.333333" and space.Interval(1, 9, whole=True).text(3.0) == "3"
    assert space.Interval(1e-6, 1, log=True).draw(random.Random(0)).count(".") == 1


def test_folder_names_tell_the_values_and_hold_no_syntax():
    values = {"method.lr": "0.1", "+method.layers": "[1,2]", "seed": "0"}
    assert folder_name(3, values) == "003_lr-0.1_layers-1-2_seed-0"
    assert len(folder_name(3, {"prompts": "x" * 300})) <= 100
    assert short_names(["a.lr", "b.lr", "b.x.seed"]) == {"a.lr": "a.lr", "b.lr": "b.lr", "b.x.seed": "seed"}


def test_machine_is_shared_out(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 8)
    for name in machine.THREADS:
        monkeypatch.delenv(name, raising=False)
    assert [share["OMP_NUM_THREADS"] for share in machine.shares(3, [], 1)] == ["2"] * 3
    gpus = [share["CUDA_VISIBLE_DEVICES"] for share in machine.shares(3, ["0", "1", "5", "7"], 1)]
    assert gpus == ["0", "1", "5"]
    pairs = [share["CUDA_VISIBLE_DEVICES"] for share in machine.shares(2, ["0", "1", "5", "7"], 2)]
    assert pairs == ["0,1", "5,7"]
    shared = [share["CUDA_VISIBLE_DEVICES"] for share in machine.shares(3, ["0", "1"], 1)]
    assert shared == ["0", "1", "0"]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")  # who sets it means it
    assert machine.shares(2, [], 0) == [{neighbours.ENV: "2"}] * 2
    beside = [machine.shares(jobs, ["0", "1"], each)[0][neighbours.ENV] for jobs, each in ((2, 1), (3, 1), (2, 2))]
    assert beside == ["1", "2", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert machine.gpus() == ["2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.gpus() == []
    assert [machine.gpus_of_a_job(trainer) for trainer in (
        {"accelerator": "cpu", "devices": 2}, {"devices": 2}, {"devices": "auto"})] == [0, 2, 1]


def test_figure_to_sort_by_and_its_better_direction():
    after = ["eval/x_before", "cost/a", "test/nll", "eval/x_after", "eval/y_after"]
    assert usual(after) == ("eval/x_after", "the first figure after training")
    assert usual(after, rewards={"y"}) == ("eval/y_after", "the reward that was trained")
    assert usual(after, rewards={"x", "y"}).why == "the first figure after training"  # no one reward was
    test = ["cost/a", "test/nll", "val/nll", "val/top1_err"]
    assert usual(test, monitors={"val/top1_err"}).metric == "val/top1_err" and usual(test).metric == "val/nll"
    assert usual(test[:2]).metric == "test/nll" and usual(test[:1]) == (None, "")
    smaller = ("test/top1_err", "cost/queries", "eval/error_after", "val/loss", "test/aurc")
    assert {direction_of(name) for name in smaller} == {"minimize"}
    assert {direction_of(name) for name in ("eval/clip_after", "eval/reward_after")} == {"maximize"}
