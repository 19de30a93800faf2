"""The table of methods against numbers worked out by hand, and what happens to runs that do not fit."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.core.errors import UserError
from src.sweeps import compare, comparison, paired, tables
from src.sweeps.at_cost import at_cost, parsed
from src.sweeps.comparison_figure import draw_comparison
from src.sweeps.curve import read_points
from src.sweeps.figure_choice import usual_names
from src.sweeps.runs import read_runs

pytestmark = pytest.mark.draws

ERRORS = {"crossentropy": {0: 10.0, 1: 12.0, 2: 14.0}, "pskd": {0: 9.0, 1: 10.0, 2: 12.0, 3: 50.0},
          "cskd": {2: 20.0}, "tfkd": {7: 1.0}}
HALF = 4.302652729911275 * math.sqrt(1 / 3) / math.sqrt(3)  # t(0.975, 2 degrees) x std / sqrt(n) of -1, -2, -2


def add_run(folder: Path, method: str, seed: int, config: str = "", **content: object) -> Path:
    folder.mkdir(parents=True)
    head = {"method": method, "seed": seed, "status": "finished", "mode": "train", "seconds": 60.0}
    (folder / "metrics.json").write_text(json.dumps(head | content))
    (folder / "config.yaml").write_text(f"seed: {seed}\nrun_dir: {folder}\n{config}")
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for method, values in ERRORS.items():
        for seed, value in values.items():
            add_run(tmp_path / "sweep" / f"{method}_{seed}", method, seed, **{
                "test/top1_err": value, "test/nll": 1.5 if method == "pskd" else None, "best/top1_err": value / 2})
    return tmp_path / "sweep"


@pytest.mark.parametrize(("degrees", "expected"), [(1, 12.7062047), (2, 4.3026527), (3, 3.1824463), (4, 2.7764451),
                                                   (5, 2.5705818), (9, 2.2621572), (30, 2.0422725), (1000, 1.9623391)])
def test_quantiles_of_students_t_are_those_of_the_tables(degrees: int, expected: float) -> None:
    assert paired.t_quantile(0.95, degrees) == pytest.approx(expected, abs=1e-6)
    assert paired.t_probability(expected, degrees) == pytest.approx(0.95, abs=1e-7)


def test_t_probability_agrees_with_the_integral_of_its_density() -> None:
    for degrees in (1, 2, 3, 4, 7):
        t = torch.linspace(-2, 2, 20001, dtype=torch.float64)
        density = torch.distributions.StudentT(torch.tensor(float(degrees), dtype=torch.float64)).log_prob(t).exp()
        assert paired.t_probability(2.0, degrees) == pytest.approx(torch.trapezoid(density, t).item(), abs=1e-7)


def test_means_and_paired_differences_by_hand(sweep: Path) -> None:
    found = comparison.compare(read_runs([sweep])[0], "crossentropy")
    assert found.labels == ["crossentropy", "cskd", "pskd", "tfkd"]
    assert found.names == ["test/top1_err", "test/nll", "best/top1_err", "seconds"]
    assert found.spreads["crossentropy", "test/top1_err"] == (3, 12, 2)
    assert found.spreads["cskd", "test/top1_err"] == (1, 20, None)
    ours = found.differences["pskd", "test/top1_err"]  # seed 3 has no partner
    assert ours == pytest.approx((3, -5 / 3, math.sqrt(1 / 3), -5 / 3 - HALF, -5 / 3 + HALF))
    assert ours.excludes_zero
    assert found.differences["cskd", "test/top1_err"] == (1, 6, None, None, None)
    assert ("tfkd", "test/top1_err") not in found.differences  # no seed in common
    assert ("crossentropy", "test/top1_err") not in found.differences
    assert ("crossentropy", "test/nll") not in found.spreads and ("pskd", "test/nll") not in found.differences


def test_markdown_and_csv_say_the_same(sweep: Path, tmp_path: Path) -> None:
    found = comparison.compare(read_runs([sweep])[0], "crossentropy")
    lines = tables.markdown(found).splitlines()
    assert "| crossentropy | 3 | 12.00 ± 2.00 | - |" in lines
    assert "| cskd | 1 | 20.00 | - |" in lines
    assert "| pskd | 4 | 20.25 ± 19.87 | 1.500 ± 0.000 |" in lines
    assert "| pskd | 3 | **-1.67** [-3.10, -0.23] | - |" in lines
    assert "| cskd | 1 | +6.00 | - |" in lines
    with tables.write_csv(found, tmp_path / "table.csv").open(newline="") as stream:
        rows = {(row["method"], row["figure"]): row for row in csv.DictReader(stream)}
    row = rows["pskd", "test/top1_err"]
    assert float(row["diff_mean"]) == pytest.approx(-5 / 3) and float(row["diff_high"]) == pytest.approx(-5 / 3 + HALF)
    assert (row["n"], row["diff_n"], row["reference"]) == ("4", "3", "crossentropy")
    assert rows["cskd", "best/top1_err"]["std"] == "" and rows["crossentropy", "seconds"]["diff_mean"] == ""


def test_cells_on_fewer_seeds_say_so(tmp_path: Path) -> None:
    add_run(tmp_path / "0", "pskd", 0, **{"test/nll": 1.0, "test/aurc": 5.0})
    add_run(tmp_path / "1", "pskd", 1, **{"test/nll": None, "test/aurc": 7.0})
    assert "| pskd | 2 | 1.000 (n=1) | 6.000 ± 1.414 |" in tables.markdown(comparison.compare(read_runs([tmp_path])[0]))


def test_without_reference_there_are_no_differences(sweep: Path) -> None:
    found = comparison.compare(read_runs([sweep])[0])
    assert not found.differences and "Difference" not in tables.markdown(found)


def test_unfinished_and_unreadable_runs_are_named(sweep: Path) -> None:
    add_run(sweep / "stopped", "pskd", 5, status="interrupted")
    add_run(sweep / "looked", "pskd", 6, mode="eval")
    add_run(sweep / "damaged", "pskd", 7).joinpath("metrics.json").write_text("{")
    runs, remarks = read_runs([sweep])
    assert len(runs) == 9
    assert remarks == ["damaged: its metrics.json says no method and seed, left out", "looked: mode=eval, left out",
                       "stopped: interrupted, left out"]


def test_a_repetition_counts_once_and_a_different_run_is_an_error(tmp_path: Path) -> None:
    old = add_run(tmp_path / "a", "pskd", 0, "method: {alpha: 0.8}", **{"test/nll": 1.0})
    os.utime(old / "metrics.json", (0, 0))
    add_run(tmp_path / "b", "pskd", 0, "method: {alpha: 0.8}", **{"test/nll": 2.0})
    runs, remarks = read_runs([tmp_path, tmp_path / "a"])
    assert [run.figures["test/nll"] for run in runs] == [2.0] and remarks == ["a: repeated by b, left out"]
    add_run(tmp_path / "c", "pskd", 0, "method: {alpha: 0.5}", **{"test/nll": 3.0})
    with pytest.raises(UserError, match=r"differ in method.alpha.*--by method.alpha"):
        read_runs([tmp_path])
    runs, _ = read_runs([tmp_path], ["method.alpha"])
    assert sorted(run.label for run in runs) == ["pskd, method.alpha=0.5", "pskd, method.alpha=0.8"]


def test_runs_that_differ_in_more_than_the_seed_get_a_remark(tmp_path: Path) -> None:
    add_run(tmp_path / "a", "pskd", 0, "epochs: 10")
    add_run(tmp_path / "b", "pskd", 1, "epochs: 20")
    assert read_runs([tmp_path])[1] == ["pskd: its runs differ in epochs; --by epochs tells them apart"]


def test_further_keys_are_paired_within_their_values_or_with_the_only_reference(tmp_path: Path) -> None:
    for data, offset in (("emoji", 0.0), ("cifar10", 100.0)):
        for method, value in (("crossentropy", 5.0), ("pskd", 4.0)):
            add_run(tmp_path / "two" / f"{data}_{method}", method, 0, f"data: {{name: {data}}}",
                    **{"test/nll": value + offset})
    found = comparison.compare(read_runs([tmp_path / "two"], ["data.name"])[0], "crossentropy")
    for data in ("emoji", "cifar10"):
        assert found.differences[f"pskd, data.name={data}", "test/nll"].mean == -1
    add_run(tmp_path / "one" / "ce", "crossentropy", 0, "method: {lr: 1}", **{"test/nll": 5.0})
    for alpha in (0.5, 0.8):
        add_run(tmp_path / "one" / f"{alpha}", "pskd", 0, f"method: {{alpha: {alpha}}}", **{"test/nll": alpha})
    found = comparison.compare(read_runs([tmp_path / "one"], ["method.alpha"])[0], "crossentropy")
    assert found.differences["pskd, method.alpha=0.5", "test/nll"].mean == -4.5


ARMS = {("ddpo", "plain"): (0.5, 0.6), ("ddpo", "both"): (0.7, 0.9), ("d3po", "plain"): (0.4, 0.5),
        ("d3po", "both"): (0.3, 0.5)}


@pytest.fixture
def arms(tmp_path: Path) -> Path:
    for (method, name), values in ARMS.items():
        for seed, value in enumerate(values):
            folder = add_run(tmp_path / "arms" / f"{method}_{name}_{seed}", method, seed, f"name: {name}\n", **{
                "eval/right_before": 0.25, "eval/right_after": value, "cost/reward_queries": 96.0})
            (folder / "metrics.csv").write_text(f"step,cost/reward_queries,eval/right\n1,0,0.25\n2,,\n3,96,{value}\n")
    return tmp_path / "arms"


def test_a_reference_may_leave_the_method_open(arms: Path) -> None:
    runs, _ = read_runs([arms], ["name"])
    each = comparison.compare(runs, "name=plain")
    assert each.differences["ddpo, name=both", "eval/right"].mean == pytest.approx(0.25)
    assert each.differences["d3po, name=both", "eval/right"].mean == pytest.approx(-0.05)
    one = comparison.compare(runs, "ddpo, name=plain")
    assert one.differences["d3po, name=both", "eval/right"].mean == pytest.approx(-0.15)
    assert ("ddpo, name=plain", "eval/right") not in one.differences
    by_method = comparison.compare(runs, "ddpo")
    assert by_method.differences["d3po, name=both", "eval/right"].mean == pytest.approx(-0.4)


def test_figures_before_training_are_one_row_and_after_it_lose_their_suffix(arms: Path) -> None:
    runs, _ = read_runs([arms], ["name"])
    found = comparison.compare(runs)
    assert found.labels[0] == "before training" and found.names[:2] == ["eval/right", "cost/reward_queries"]
    assert found.spreads["before training", "eval/right"] == (2, 0.25, 0.0)
    assert ("before training", "cost/reward_queries") not in found.spreads
    add_run(arms / "other", "ddpo", 0, "name: other\n", **{"eval/right_before": 0.3, "eval/right_after": 0.4})
    runs, remarks = read_runs([arms], ["name"])  # two base models
    assert "before training" not in comparison.compare(runs).labels
    assert any("before training, the figures of the runs with seed" in line for line in remarks)


def test_chosen_figures_and_a_curve(arms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = arms / "ddpo_both_1" / "metrics.csv"
    assert read_points(file, "eval/right", "cost/reward_queries") == {0.0: 0.25, 96.0: 0.9}
    words = [str(arms), "--by", "name", "--figures", "eval/right", "--curve", "eval/right"]
    assert compare.run(words) == 0
    assert "queries" not in (arms / "table.md").read_text() and (arms / "curve.png").stat().st_size > 5000
    assert compare.run([*words[:-1], "eval/wrong"]) == 2 and compare.run([*words[:4], "eval/wright"]) == 2
    said = capsys.readouterr().err
    assert "metrics.csv has both columns" in said and "did you mean eval/right" in said.lower()


def test_every_runs_figures_and_points_are_written_too(arms: Path) -> None:
    words = ["--by", "name", "--figures", "eval/right", "--curve", "eval/right", "--against", "cost/reward_queries"]
    assert compare.run([str(arms), *words]) == 0
    runs = read_runs([arms], ["name"])[0]
    with (arms / "runs.csv").open(newline="") as stream:
        lines = {(row["method"], int(row["seed"])): row["eval/right"] for row in csv.DictReader(stream)}
    assert lines == {(run.label, run.seed): str(run.figures["eval/right"]) for run in runs}
    with (arms / "curve.csv").open(newline="") as stream:
        points = [(row["seed"], float(row["x"]), float(row["eval/right"])) for row in csv.DictReader(stream)
                  if row["method"] == "ddpo, name=both"]
    assert ("1", 0.0, 0.25) in points and ("1", 96.0, 0.9) in points


def test_figures_at_one_cost_are_read_off_the_curves(arms: Path) -> None:
    """Evaluations stand in rows of their own, which know of one cost only; the others are the epoch's."""
    for folder in arms.glob("*_*"):
        cheap = "both" in folder.name
        (folder / "metrics.csv").write_text(
            "epoch,cost/unet,cost/reward_queries,eval/right\n-1,,0,0.2\n0,,10,0.4\n"
            f"0,{50 if cheap else 100},10,\n1,,20,0.8\n1,{100 if cheap else 200},20,\n")
    file = arms / "ddpo_both_0" / "metrics.csv"
    assert read_points(file, "eval/right", "cost/unet") == {0.0: 0.2, 50.0: 0.4, 100.0: 0.8}
    runs = read_runs([arms], ["name"])[0]
    found = comparison.compare(at_cost(runs, ["eval/right"], "cost/unet", 75.0), "name=plain")
    assert found.differences["ddpo, name=both", "eval/right"].mean == pytest.approx(0.6 - 0.35)
    only_plain = at_cost(runs, ["eval/right"], *parsed("cost/unet=150"))
    assert {run.keys for run in only_plain if run.figures and run.keys} == {(("name", "plain"),)}
    words = [str(arms), "--by", "name", "--figures", "eval/right", "--at", "cost/unet=75", "--curve", "eval/right",
             "--against", "cost/reward_queries,cost/unet"]
    assert compare.run(words) == 0 and "0.6000 ± 0.0000" in (arms / "table.md").read_text()
    for wrong in ("cost/unet=900", "cost/unet", "cost/nothing=5"):
        assert compare.run([*words[:6], wrong]) == 2


def test_wrong_input_is_told(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert compare.run([str(tmp_path / "nowhere")]) == 2
    assert compare.run([str(tmp_path / "empty")]) == 2
    assert compare.run([str(sweep), "--reference", "crosentropy"]) == 2
    assert compare.run([str(sweep), "--by", "data.nam"]) == 2
    said = capsys.readouterr().err
    assert "not a folder" in said and "no finished run" in said and "did you mean crossentropy" in said.lower()
    assert "no run's config.yaml has this key" in said and not list(sweep.glob("table*"))


def test_the_command_line_prints_and_writes(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.run([str(sweep)]) == 0  # crossentropy is the reference where it is among the methods
    assert "| pskd | 3 | **-1.67** [-3.10, -0.23] | - |" in capsys.readouterr().out
    assert "paired by seed" in (sweep / "table.md").read_text()
    assert (sweep / "table.csv").stat().st_size > 200 and (sweep / "comparison.png").stat().st_size > 5000


def test_comparing_needs_no_torch() -> None:
    code = "import src.sweeps.compare, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_picture_takes_plain_mappings(tmp_path: Path) -> None:
    runs = [{"method": method, "seed": seed, "figures": {"val/nll": value, "val/ece": seed}}
            for method, values in ERRORS.items() for seed, value in values.items()]
    assert usual_names(runs) == ["val/nll", "val/ece"]
    assert draw_comparison(runs, tmp_path / "all.png", title="All").stat().st_size > 5000
    assert draw_comparison(runs[:1], tmp_path / "one.png", names=["val/nll"]).stat().st_size > 3000
    with pytest.raises(UserError, match="none of the usual"):
        draw_comparison([{"method": "a", "seed": 0, "figures": {}}], tmp_path / "none.png")
