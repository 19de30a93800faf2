"""Methods that are compared on other data, lengths or evaluations are told."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from src.core.config.compose import compose, plain
from src.core.places import ROOT
from src.sweeps import fair
from src.sweeps.runs import Run

PSKD = {"method": {"epochs": 3, "lr": 0.1, "loss": {"_target_": "a", "alpha": 0.8}}, "model": {"name": "net"},
        "data": {"_target_": "folder", "root": "/one", "workers": 1}}


def told(tmp_path: Path, runs: dict[str, dict], by: tuple[str, ...] = ()) -> list[str]:
    """Remarks about runs with these configurations, each under its own label."""
    found = []
    for label, config in runs.items():
        (tmp_path / label).mkdir(parents=True)
        (tmp_path / label / "config.yaml").write_text(yaml.safe_dump(config))
        found.append(Run(tmp_path / label, label, (), 0, {}))
    return fair.remarks(found, by)


def test_other_data_and_another_length(tmp_path: Path) -> None:
    other = PSKD | {"data": PSKD["data"] | {"root": "/two"}, "method": {"epochs": 1, "lr": 0.3}}
    assert told(tmp_path, {"pskd": PSKD, "cskd": other}) == ["methods also differ in data.root, method.epochs"]


def test_a_part_of_another_class_is_named_as_a_whole(tmp_path: Path) -> None:
    other = PSKD | {"data": {"_target_": "emoji", "root": "/two"}, "model": {"name": "larger"}}
    assert told(tmp_path, {"pskd": PSKD, "cskd": other}) == ["methods also differ in data, model.name"]


def test_what_a_method_brings_and_what_only_costs_is_no_difference(tmp_path: Path) -> None:
    method = {"epochs": 3, "lr": 0.3, "loss": {"_target_": "b"}}
    other = PSKD | {"data": PSKD["data"] | {"workers": 8}, "method": method}
    assert told(tmp_path, {"pskd": PSKD, "cskd": other}) == []


def test_runs_set_apart_by_such_a_key_are_compared_within_it(tmp_path: Path) -> None:
    runs = {"a": PSKD, "b": PSKD | {"method": {"epochs": 60}, "data": {"_target_": "emoji"}}, "c": PSKD}
    assert told(tmp_path / "data", runs, by=("data._target_",)) == []
    assert told(tmp_path / "lr", runs, by=("method.lr",)) == ["methods also differ in data, method.epochs"]


@pytest.mark.parametrize("sweep", ["b2_statistics", "pskd_methods", *(
    pytest.param(name, marks=pytest.mark.slow) for name in ("b2_branches", "b2_evidence"))])
def test_the_arms_of_a_documented_sweep_differ_in_nothing_else(sweep: str, tmp_path: Path) -> None:
    params = yaml.safe_load((ROOT / f"experiments/sweep/{sweep}.yaml").read_text())["hydra"]["sweeper"]["params"]
    grid = [[f"{key}={value}" for value in params[key].split(",")] for key in ("method", "experiment") if key in params]
    arms = [plain(compose([f"sweep={sweep}", *arm]).cfg) for arm in itertools.product(*grid)]
    assert told(tmp_path, {str(number): arm for number, arm in enumerate(arms)}) == []
