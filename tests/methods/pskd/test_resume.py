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
from src.methods.pskd.resuming import same_averages, same_optimiser
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


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A run that ended in its second epoch, which nobody may change."""
    runner = Runner(tmp_path_factory.mktemp("begun"))
    with pytest.MonkeyPatch.context() as patch:
        stop_in(patch, 1, 1)
        assert runner("method=crossentropy") == 143
    return runner


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


@pytest.mark.parametrize(("override", "told"), [
    ("method.lr=0.3", "the checkpoint has 0.1: the optimiser goes on as it was started. Resume with method.lr=0.1, or"),
    ("method.weight_decay=0.1", "the checkpoint has 0.0005: "), ("method.momentum=0.5", "the checkpoint has 0.9: "),
    ("method.nesterov=False", "the checkpoint has True: "),
    ("method.batch_size=6", "the checkpoint has 4 steps an epoch, and this run 8: the learning rate's schedule counts"),
    ("trainer.accumulate_grad_batches=2", "the checkpoint has 4 steps an epoch, and this run 2: "),
    ("method.ema_decay=0.5", "the checkpoint holds no averaged weights. Leave method.ema_decay as its run had it, nu"),
])
def test_what_lightning_would_pass_over_or_choke_on_is_refused(begun: Runner, override: str, told: str, capsys) -> None:
    assert begun(f"resume={begun.folder}", override) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f": {told}" in said and (override in said or override.startswith("trainer."))


def test_adamw_has_no_momentum_to_keep_and_averages_may_not_be_dropped() -> None:
    groups = [{"initial_lr": 1e-3, "lr": 1e-4, "weight_decay": 0.1}]  # AdamW's, halfway
    content = {"optimizer_states": [{"param_groups": groups}], "state_dict": {"average.module.weight": 1}}
    same_optimiser({"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.7, "nesterov": True}, content)
    same_averages(0.9, content)
    with pytest.raises(UserError, match=r"method.ema_decay=null: the checkpoint holds averaged weights too. Leave"):
        same_averages(None, content)


@pytest.mark.parametrize("classes", [["dog", "cat"], ["cat"]])
def test_a_checkpoint_of_other_classes_is_refused_also_of_as_many(classes: list[str]) -> None:
    module = SimpleNamespace(data=SimpleNamespace(name="pets", classes=["cat", "dog"]))
    with pytest.raises(UserError, match=f"the checkpoint's {len(classes)} classes are not this data's 2"):
        Keeping.on_load_checkpoint(module, {"classifier": {"classes": classes}})


@pytest.mark.parametrize(("stored", "then"), [({}, "sgd"), ({"optimizer": "sgd"}, "sgd")])
def test_a_checkpoint_of_another_optimiser_is_refused_where_training_goes_on(stored: dict, then: str) -> None:
    module = SimpleNamespace(data=SimpleNamespace(classes=["cat"]), optimizer="adamw", clock=MagicMock(),
                             ema_decay=None, trainer=SimpleNamespace(state=SimpleNamespace(fn="fit")))
    checkpoint = {"classifier": {"classes": ["cat"], "clock": {}, "loss": {}, **stored}, "state_dict": {}}
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
