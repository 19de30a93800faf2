"""The benchmarks' files: what is measured in parts stands together, and never beside another machine's."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from src.bench import report
from src.bench.timing import Result, skipped, summary
from src.bench.unet_cases import TINY, Speed, fitting, unet

pytestmark = pytest.mark.draws


def test_a_ratio_is_the_median_of_ratios_in_turn() -> None:
    found = summary("a", "cost", "with", "without", [(2.0, 1.0), (9.0, 3.0), (4.0, 4.0), (8.0, 2.0), (5.0, 1.0)])
    assert (found.low, found.middle, found.high) == (2.0, 3.0, 4.0)
    assert (found.seconds_one, found.seconds_other, found.repeats) == (5.0, 2.0, 5)


def test_results_are_read_back_and_replaced_by_name(tmp_path: Path) -> None:
    ratio = Result("a", "speed", "one", "other", 1.0, 2.0, 3.0, 0.1, 0.2, 5)
    speed = Speed("b", 4, 2.0, 10**9, None, None)
    report.write([ratio, speed, skipped("c", "no compiler")], tmp_path)
    found = report.earlier(tmp_path)
    assert found["a"] == ratio and found["b"] == speed and found["c"].note == "no compiler"
    found["a"] = Result("a", "speed", "one", "other", 1.0, 2.5, 3.0, 0.1, 0.2, 5)
    report.write(list(found.values()), tmp_path)
    with (tmp_path / "results.csv").open(newline="") as stream:
        assert [row["middle"] for row in csv.DictReader(stream)] == ["2.5", "nan"]
    assert "**2.50** (1.00 to 3.00)" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "ratios.png").stat().st_size > 3000


@pytest.mark.parametrize("machine", ["another", None])
def test_results_of_another_machine_are_left_out(tmp_path: Path, machine: str | None) -> None:
    if machine:
        content = {"machine": machine, "ratios": [{"name": "a", "kind": "skipped"}], "speeds": []}
        (tmp_path / "results.json").write_text(json.dumps(content))
    assert report.earlier(tmp_path) == {}


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    net = unet(TINY, torch.float32, torch.device("meta"))

    def work(_: object, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > 4:
            raise torch.OutOfMemoryError("too much")

    batch, given = fitting(work, net, 32, torch.device("meta"))
    assert batch == 4 and {len(item) for item in given} == {4}
    with pytest.raises(torch.OutOfMemoryError):
        fitting(work=lambda net, given: work(net, (torch.ones(5),)), net=net, most=8, where=torch.device("meta"))
