"""Searches: the same points whether or not they were interrupted, and what becomes of trials that have no figure."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from src.core.errors import UserError
from src.sweeps import samplers, study
from src.sweeps.optuna_search import OptunaSearch
from src.sweeps.record import Job, Record
from src.sweeps.space import Choice, Interval, Space
from tests.sweeps.conftest import Sweeps

optuna = pytest.importorskip("optuna")
SPACE: Space = {"lr": Interval(1e-4, 1, log=True), "width": Interval(1, 9, whole=True), "kind": Choice(("a", "b"))}
SEARCH = ["-m", "method.lr=tag(log,interval(1e-4,1))", "hydra/sweeper=optuna"]
AIMED = [*SEARCH, "optimized_metric=eval/error_after"]


class Search:
    """A search whose runs are a formula; every process of it has its own sweeper."""

    def __init__(self, folder: Path, **options: object) -> None:
        folder.mkdir()
        self.folder, self.options = folder, options
        self.record = Record([], [], [], "optuna", "val/loss", "minimize")

    def process(self, n_trials: int, interrupted: bool = False) -> None:
        """Goes on to ``n_trials``; ``interrupted``: while the last one runs."""
        sweeper = OptunaSearch(n_trials=n_trials, **self.options)
        sweeper.begin(SPACE, self.record, self.folder)
        while job := sweeper.ask():
            if interrupted and job.number == n_trials - 1:
                return
            job.status = "finished"
            sweeper.tell(job, (math.log10(float(job.values["lr"])) + 2) ** 2 + int(job.values["width"]))

    @property
    def points(self) -> list[dict[str, str]]:
        return [job.values for job in self.record.jobs]


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_search_that_goes_on_asks_what_an_uninterrupted_one_asks(tmp_path: Path, sampler: str) -> None:
    if sampler == "qmc":
        pytest.importorskip("scipy")
    whole, parts, other = (Search(tmp_path / name, sampler=sampler, seed=seed)
                           for name, seed in (("whole", 3), ("parts", 3), ("other", 4)))
    whole.process(10)
    parts.process(4)
    parts.process(7, interrupted=True)
    parts.process(10)
    other.process(10)
    assert parts.points == whole.points != other.points
    assert len({point["lr"] for point in whole.points}) == 10


def test_more_trials_of_a_finished_search_are_other_points(sweeps: Sweeps) -> None:
    assert sweeps(*AIMED, "hydra.sweeper.n_trials=2") == 0
    assert sweeps(f"resume={sweeps.folder}", "hydra.sweeper.n_trials=4") == 0
    assert len({row["method.lr"] for row in sweeps.rows()}) == 4


@pytest.mark.parametrize("sweeper", ["optuna", "random"])
def test_a_search_keeps_its_space(sweeps: Sweeps, capsys: pytest.CaptureFixture, sweeper: str) -> None:
    assert sweeps(*AIMED, f"hydra/sweeper={sweeper}", "hydra.sweeper.n_trials=1") == 0
    before = sweeps.record()
    for change, rule in {"method.lr=tag(log,interval(1e-4,10))": "with method.lr=tag(log,interval(0.0001,1.0))",
                         "method.lr=interval(1e-4,1)": "with method.lr=tag", "method.lr=1,0.1": "with method.lr=tag",
                         "method.kind=plain,fancy": "with no method.kind"}.items():
        assert sweeps(f"resume={sweeps.folder}", "hydra.sweeper.n_trials=2", change) == 2
        assert f"a search goes on as it began, {rule}" in capsys.readouterr().err
    assert sweeps.record() == before
    assert sweeps(f"resume={sweeps.folder}", "hydra.sweeper.n_trials=2") == 0
    assert len(sweeps.rows()) == 2


def test_a_grid_may_grow(sweeps: Sweeps) -> None:
    assert sweeps("-m", "seed=0,1") == 0
    assert sweeps(f"resume={sweeps.folder}", "seed=0,1,2") == 0
    assert sweeps.starts() == [["fresh"]] * 3


def test_trials_without_all_their_values_are_not_taken_up(tmp_path: Path) -> None:
    search = Search(tmp_path / "search")
    kept = study.opened(None, search.folder, "minimize")
    kept.ask().suggest_float("lr", 1e-4, 1, log=True)  # and then the process was killed
    search.process(2)
    assert [trial.state.name for trial in kept.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert all(set(point) == set(SPACE) for point in search.points)


def test_a_trial_that_cannot_be_drawn_fails_with_one_line(tmp_path: Path) -> None:
    """In a database that holds the trials of another space."""
    search = Search(tmp_path / "search")
    kept = study.opened(None, search.folder, "minimize")
    kept.ask({"kind": optuna.distributions.CategoricalDistribution(("a", "b", "c"))})
    with pytest.raises(UserError, match="Optuna cannot draw its values"):
        search.process(1)
    assert {trial.state.name for trial in kept.trials} == {"FAIL"}


def test_a_sampler_that_cannot_be_is_told_first(
        sweeps: Sweeps, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sweeps(*AIMED, "hydra.sweeper.sampler=tpee") == 2
    assert "hydra.sweeper.sampler=tpee: must be one of tpe, random, qmc" in capsys.readouterr().err
    monkeypatch.setitem(samplers.NEEDS, "qmc", "no_such_package")
    assert sweeps(*AIMED, "hydra.sweeper.sampler=qmc") == 2
    assert "hydra.sweeper.sampler=qmc: needs the package no_such_package" in capsys.readouterr().err
    assert not sweeps.output.exists()


@pytest.mark.parametrize("storage", ["foo", "foo://x", "sqlite:////no/such/folder/a.db"])
def test_a_database_that_cannot_be_is_told_first(sweeps: Sweeps, capsys: pytest.CaptureFixture, storage: str) -> None:
    assert sweeps(*AIMED, f"hydra.sweeper.storage='{storage}'") == 2
    error = capsys.readouterr().err
    assert f"hydra.sweeper.storage={storage}: " in error and "Traceback" not in error
    assert not sweeps.output.exists()


def test_a_damaged_database_is_told_first(sweeps: Sweeps, capsys: pytest.CaptureFixture) -> None:
    assert sweeps(*AIMED, "hydra.sweeper.n_trials=1") == 0
    (sweeps.folder / "optuna.db").write_text("damaged" * 100)
    assert sweeps(f"resume={sweeps.folder}", "hydra.sweeper.n_trials=2") == 2
    error = capsys.readouterr().err
    assert "file is not a database" in error and "Traceback" not in error and len(sweeps.rows()) == 1


def test_a_database_of_its_own(sweeps: Sweeps, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    assert sweeps(*AIMED, f"hydra.sweeper.storage='{url}'", "hydra.sweeper.n_trials=1") == 0
    assert len(optuna.load_study(study_name=sweeps.folder.name, storage=url).trials) == 1
    assert not (sweeps.folder / "optuna.db").exists()


def test_a_mistyped_figure_ends_a_search_after_one_run_which_then_counts(
        sweeps: Sweeps, capsys: pytest.CaptureFixture) -> None:
    """By its mistyped name it was to be maximized."""
    words = [*SEARCH, "hydra.sweeper.n_trials=3"]
    assert sweeps(*words, "optimized_metric=eval/eror_after") == 1
    error = capsys.readouterr().err
    assert "optimized_metric=eval/eror_after: no finished run has a number for this figure" in error
    assert "Did you mean eval/error_after?" in error
    assert [row["status"] for row in sweeps.rows()] == ["finished"] and not sweeps.record()["complete"]
    assert sweeps(f"resume={sweeps.folder}") == 2  # and trains nothing
    assert sweeps(f"resume={sweeps.folder}", "optimized_metric=eval/error_after") == 0
    assert sweeps.starts() == [["fresh"]] * 3
    kept = study.opened(None, sweeps.folder, "minimize")
    errors = [float(row["eval/error_after"]) for row in sweeps.rows()]
    assert [trial.value for trial in kept.trials] == errors and kept.direction.name == "MINIMIZE"
    assert sweeps(f"resume={sweeps.folder}", "optimized_metric=val/loss", "hydra.sweeper.n_trials=4") == 2
    assert "this search is judged by eval/error_after (minimize)" in capsys.readouterr().err


def test_a_mistyped_figure_of_a_grid_costs_nothing(sweeps: Sweeps, capsys: pytest.CaptureFixture) -> None:
    assert sweeps("-m", "seed=0,1", "optimized_metric=eval/eror_after") == 0
    assert "Did you mean eval/error_after?" in capsys.readouterr().err
    assert [row["status"] for row in sweeps.rows()] == ["finished"] * 2


def test_a_figure_that_is_not_finite_only_fails_its_trial(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    search = Search(tmp_path / "search")
    sweeper = OptunaSearch(n_trials=2)
    sweeper.begin(SPACE, search.record, search.folder)
    job = sweeper.ask()
    assert isinstance(job, Job)
    (search.folder / job.folder).mkdir()
    (search.folder / job.folder / "metrics.json").write_text(json.dumps({"status": "finished", "val/loss": None}))
    job.status = "finished"
    sweeper.tell(job, None)
    assert "its val/loss is not a finite number" in capsys.readouterr().err
    assert study.opened(None, search.folder, "minimize").trials[0].state.name == "FAIL"


def test_a_search_is_complete_when_another_point_took_a_failed_ones_place(
        sweeps: Sweeps, capsys: pytest.CaptureFixture) -> None:
    words = [*AIMED, "hydra.sweeper.n_trials=2", "hydra.sweeper.sampler=random"]
    assert sweeps(*words, "method.fail_at=0") == 1
    assert "2 of 2 jobs failed" in capsys.readouterr().err and not sweeps.record()["complete"]
    (sweeps.folder / "mended").touch()
    assert sweeps(*words, "method.fail_at=0", "resume=auto") == 0
    assert [row["status"] for row in sweeps.rows()] == ["failed"] * 2 + ["finished"] * 2
    said = capsys.readouterr()
    assert "2 of 4 jobs failed; others took their place" in said.out and "[2/2]" in said.out and not said.err
    assert sweeps(f"resume={sweeps.folder}") == 0 and "Go on with" not in capsys.readouterr().out
    assert sweeps.record()["complete"] and len(sweeps.record()["jobs"]) == 4
