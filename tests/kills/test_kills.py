"""Runs that are killed and go on: at every change of a file (slow), and at a few of both methods."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.methods.b2diffurl import evaluating
from src.methods.pskd.module import Classifier
from tests.core.conftest import CONF as TOY
from tests.kills.chain import Chain, Course
from tests.kills.victim import Strike
from tests.methods.b2diffurl.conftest import CONF as STANDIN
from tests.methods.pskd.run import CONF as QUARTERS


def undrawn() -> None:
    """In the forked process: drawing takes longer than so small a run."""
    from src.core.work import Work

    Work.report = lambda work: None
    Classifier._draw = lambda module, scores: None
    evaluating.draw_sheet = lambda galleries, file: file


def ended(course: Course, number: int, *changes: int) -> Chain:
    """A run that is killed before these changes of a file, one after the other, and then left to end."""
    strikes = (Strike(change=change) for change in changes)
    *kills, chain = course.chain(number, strikes, most=len(changes))
    assert len(kills) == len(changes)
    return chain


COMMANDS = {
    "b2diffurl": ["--config-dir", str(STANDIN), "experiment=standin"],
    "pskd": ["--config-dir", str(QUARTERS), "experiment=quarters", "method=pskd", "method.loss.memory=memmap"],
}


@pytest.mark.parametrize("method", COMMANDS)
def test_killed_twice_and_continued_equals_undisturbed(method: str, sd_folder: Path, tmp_path: Path) -> None:
    extra = [f"model.path={sd_folder}"] if method == "b2diffurl" else []
    course = Course(COMMANDS[method] + extra, tmp_path, undrawn)
    count = course.whole().changes
    chain = ended(course, 0, count // 3, count // 2)
    assert chain.faults == []


@pytest.mark.slow
def test_killed_before_any_change_of_a_file_and_continued_equals_undisturbed(tmp_path: Path) -> None:
    course = Course(["--config-dir", str(TOY), "method=toy", "callbacks.checkpoint.monitor=train/loss",
                     "callbacks.checkpoint.mode=min"], tmp_path, undrawn)
    count = course.whole().changes
    assert count > 30
    faults = {change: found for change in range(1, count + 1) if (found := ended(course, change, change).faults)}
    assert faults == {}
