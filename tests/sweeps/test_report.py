"""What `python -m src.sweeps.report` ranks by, counts and says, on folders of runs that were never trained."""

from __future__ import annotations

import csv
import errno
import json
import os
from pathlib import Path

import pytest

from src.core import atomic
from src.sweeps import ranking, report, rows


def add_run(folder: Path, seed: int, figures: dict[str, float | None], config: str = "", table: str = "",
            **given: str) -> None:
    folder.mkdir(parents=True)
    (folder / "overrides.txt").write_text("\n".join(f"{key}={value}" for key, value in given.items()))
    head = {"method": "toy", "seed": seed, "status": "finished", "seconds": 1.0}
    (folder / "metrics.json").write_text(json.dumps({**head, **figures}))
    (folder / "config.yaml").write_text(config)
    if table:
        (folder / "metrics.csv").write_text(table)


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_runs_are_ranked_by_the_reward_that_was_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(2):
        add_run(tmp_path / str(n), n, {"eval/clip_after": float(n), "eval/callable_after": -float(n)},
                "reward: {name: callable}", lr=str(n))
    assert report.run([str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "eval/callable_after, best (largest) first" in said
    assert "Judged by eval/callable_after: the reward that was trained. Another: report --metric" in said
    assert rows.read(tmp_path, "eval/clip_after").why == ""


def test_grids_are_not_ranked_on_the_test_set_where_there_are_held_out_pictures(tmp_path: Path) -> None:
    for n in range(2):
        add_run(tmp_path / str(n), n, {"test/top1_err": float(n)}, "callbacks: {checkpoint: {monitor: val/top1_err}}",
                f"step,val/nll,val/top1_err\n1,0,50\n2,0,{10 - n}\n", lr=str(n))
    found = rows.read(tmp_path)
    assert (found.metric, found.direction) == ("val/top1_err", "minimize")
    assert [row.objective for row in found.rows] == [10, 9]


def test_copies_of_a_run_count_once_and_are_told(tmp_path: Path) -> None:
    for name, seed, value in (("a", 0, 7.0), ("b", 0, 7.0), ("c", 0, 1.0), ("d", 1, 3.0)):  # the last copy counts
        add_run(tmp_path / name, seed, {"test/nll": value})
        (tmp_path / name / "overrides.txt").write_text(f"seed={seed}\n")
    found = rows.read(tmp_path)
    ranked = ranking.rank(found)
    assert ranked[0].objective == pytest.approx((2, 2.0, 2**0.5))
    assert "2 repeated runs of a seed are not counted" in ranking.remark(found, ranked)
    assert ranked[0].finished == 4


def test_settings_are_ranked_by_their_means_and_paired_with_the_best(tmp_path: Path) -> None:
    for lr, values in {"1": (5.0, 7.0), "2": (1.0, 2.0), "3": (None,)}.items():
        for seed, value in enumerate(values):
            add_run(tmp_path / f"{lr}_{seed}", seed, {"test/nll": value}, lr=lr)
    add_run(tmp_path / "1_again", 0, {"test/nll": None}, lr="1")  # no copy: it has no figure
    ranked = ranking.rank(rows.read(tmp_path, "test/nll"))
    assert [one.rows[0].values["lr"] for one in ranked] == ["2", "1", "3"]
    assert [one.to_best and one.to_best[:3] for one in ranked] == [None, (2, 4.5, pytest.approx(0.5**0.5)), None]
    assert [one.copies for one in ranked] == [0, 0, 0]


@pytest.mark.parametrize("value", [None, float("nan"), "missing"])
def test_what_there_is_is_written_without_the_ranked_figure(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float | None) -> None:
    for n in range(2):
        ranked = {} if value == "missing" else {"eval/clip_after": value}
        add_run(tmp_path / str(n), n, {"test/nll": float(n), **ranked})
    jobs = [{"number": n, "values": {"seed": str(n)}, "folder": str(n)} for n in range(2)]
    (tmp_path / "sweep.json").write_text(json.dumps({
        "overrides": [], "base": [], "roots": [], "kind": "grid", "metric": "eval/clip_after", "jobs": jobs}))
    assert report.run([str(tmp_path)]) == 0
    assert [row["test/nll"] for row in results(tmp_path)] == ["0.0", "1.0"] and not (tmp_path / "plots").exists()
    shown = capsys.readouterr()
    assert "optimized_metric=eval/clip_after: no finished run has a number for this figure" in shown.err
    assert "best (" not in shown.out


def test_a_misspelt_figure_gets_the_nearest_or_a_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(tmp_path / "0", 0, {f"eval/figure_{n}": 1.0 for n in range(30)}, table="step,val/top1_err\n1,2\n")
    assert report.run([str(tmp_path), "--metric", "val/top1_er"]) == 2
    assert report.run([str(tmp_path), "--metric", "zzz"]) == 2
    first, second = capsys.readouterr().err.strip().splitlines()
    assert first.endswith("Did you mean val/top1_err?") and not (tmp_path / "results.csv").exists()
    assert "--metric zzz" in second and second.endswith("eval/figure_5 and 25 others")


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    add_run(tmp_path / "0", 0, {"test/nll": 1.0})
    monkeypatch.setattr(atomic, "replacing", refuse)
    assert report.run([str(tmp_path)]) == 2
    assert "this folder cannot be written (Permission denied)" in capsys.readouterr().err
