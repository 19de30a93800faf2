"""A run that was ended anywhere and continued equals one that was not, bit for bit; and what a resume refuses."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from src.core import signals
from src.core.errors import UserError
from src.methods.pskd.keeping import Keeping
from src.methods.pskd.module import Classifier
from tests.methods.pskd.run import Runner

CASES = {
    "table": ["method=pskd"], "memmap": ["method=pskd", "method.loss.memory=memmap"],
    "sharded": ["method=pskd", "method.loss.memory=sharded"],
    "snapshot and cutmix": ["method=pskd", "method.loss.memory=snapshot", "method.mixing=cutmix"],
    "topk, averaged": ["method=pskd", "method.loss.memory=topk", "method.loss.top=2", "method.ema_decay=0.9"],
    "cskd": ["method=cskd", "method.lr_schedule=cosine"],
}
RARE = ("sharded", "cskd")  # on one process the rows are a table's; nothing is kept of an epoch


def stop_in(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int) -> None:
    """A SIGTERM before one batch of one epoch, once."""
    step = Classifier.training_step

    def stopping(module: Classifier, item, index: int):
        if (module.current_epoch, index) == (epoch, batch):
            monkeypatch.setattr(Classifier, "training_step", step)
            raise signals.StopRun(signal.SIGTERM)
        return step(module, item, index)

    monkeypatch.setattr(Classifier, "training_step", stopping)


@pytest.mark.parametrize("options", [pytest.param(options, id=name, marks=pytest.mark.slow if name in RARE else ())
                                     for name, options in CASES.items()])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options) -> None:
    whole, part = Runner(tmp_path / "whole"), Runner(tmp_path / "part")
    assert whole(*options) == 0
    for epoch, batch in ((0, 2), (1, 0), (2, 3)):  # the first time there is no checkpoint yet
        stop_in(monkeypatch, epoch, batch)
        assert part(*options, *([] if epoch == 0 else ["resume=auto"])) == 143
    assert part(*options, "resume=auto") == 0
    assert len(list((part.output / "runs").iterdir())) == 1
    assert part.outcome() == whole.outcome()


@pytest.fixture
def stopped(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """A run that ended in its second epoch."""
    stop_in(monkeypatch, 1, 1)
    assert runner("method=pskd") == 143
    return runner


@pytest.mark.parametrize(("override", "words"), [
    ("data.relabel=true", "fingerprint"), ("method.epochs=4", "method.epochs=4"), ("method.loss.alpha=0.5", "alpha"),
    ("method.loss.memory=topk", "memory"), ("method=crossentropy", "the checkpoint is from method=pskd"),
    ("model.options.widths=[8,12]", "widths"), ("data.val=1.5", "data.val=1.5"),
])
def test_a_resume_that_does_not_fit_is_refused(stopped: Runner, override: str, words: str, capsys) -> None:
    assert stopped(f"resume={stopped.folder}", override) != 0
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("classes", [["dog", "cat"], ["cat"]])
def test_a_checkpoint_of_other_classes_is_refused_also_of_as_many(classes: list[str]) -> None:
    module = SimpleNamespace(data=SimpleNamespace(name="pets", classes=["cat", "dog"]))
    with pytest.raises(UserError, match=f"the checkpoint's {len(classes)} classes are not this data's 2"):
        Keeping.on_load_checkpoint(module, {"classifier": {"classes": classes}})


@pytest.mark.parametrize(("stored", "then"), [({}, "sgd"), ({"optimizer": "sgd"}, "sgd")])
def test_a_checkpoint_of_another_optimiser_is_refused_where_training_goes_on(stored: dict, then: str) -> None:
    module = SimpleNamespace(data=SimpleNamespace(classes=["cat"]), optimizer="adamw", clock=MagicMock(),
                             trainer=SimpleNamespace(state=SimpleNamespace(fn="fit")))
    checkpoint = {"classifier": {"classes": ["cat"], "clock": {}, "loss": {}, **stored}}
    with pytest.raises(UserError, match=f"method.optimizer=adamw: .* those of {then}. Resume with"):
        Keeping.on_load_checkpoint(module, checkpoint)
    module.trainer.state.fn = "test"
    Keeping.on_load_checkpoint(module, checkpoint)


def test_a_resume_without_the_table_is_refused(stopped: Runner, capsys) -> None:
    file = stopped.folder / "checkpoints" / "last.ckpt"
    content = torch.load(file, weights_only=True)
    content["classifier"]["loss"]["memory"] = {}
    torch.save(content, file)
    assert stopped(f"resume={stopped.folder}") != 0
    assert "no past predictions" in " ".join(capsys.readouterr().err.split())


def test_a_resume_without_the_memmaps_file_is_refused(runner: Runner, monkeypatch, capsys) -> None:
    stop_in(monkeypatch, 1, 1)
    assert runner("method=pskd", "method.loss.memory=memmap") == 143
    for file in (runner.folder / "memory").iterdir():
        file.unlink()
    assert runner(f"resume={runner.folder}") != 0
    assert "past predictions of 1 epochs are not there" in " ".join(capsys.readouterr().err.split())


def test_a_diverged_run_says_so(runner: Runner, capsys) -> None:
    assert runner("method=crossentropy", "method.lr=1e30", "method.nesterov=false") == 1
    assert "diverged" in " ".join(capsys.readouterr().err.split())


def test_a_run_stopped_after_its_last_epoch_still_tells_what_the_loss_cost(runner: Runner, monkeypatch) -> None:
    def stopping(module: Classifier, batch, index: int) -> None:
        raise signals.StopRun(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "test_step", stopping)
        assert runner("method=pskd", "method.measure_overhead=true") == 143
    assert runner("method=pskd", "method.measure_overhead=true", "resume=auto") == 0
    assert "cost/overhead_vs_ce" in runner.figures
