"""Which epochs are kept and when they count, and files that a crash or a full disk leaves whole."""

import errno
import json
import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from src.core import atomic, checkpoint_files, keeping, resume
from src.core.checkpoint import RunCheckpoint, copy_in_place
from src.core.checkpoint_files import LAST, NEXT
from src.core.errors import UserError
from src.core.processes import slurm
from src.core.states import State


def trainer_in(folder: Path, **state: object) -> SimpleNamespace:
    (folder / "checkpoints").mkdir(exist_ok=True)
    saved = SimpleNamespace(default_root_dir=folder, is_global_zero=True, loggers=[], should_stop=False, max_epochs=5,
                            callback_metrics={}, save_checkpoint=lambda file, weights_only: torch.save({}, file))
    vars(saved).update(state)
    return saved


def test_every_second_epoch_is_saved_and_the_last_one(tmp_path):
    callback, saved = RunCheckpoint(every_n_epochs=2), []
    for epoch in range(5):
        callback.on_train_epoch_end(trainer_in(tmp_path, current_epoch=epoch), None)
        if (tmp_path / "checkpoints" / NEXT).is_file():
            (tmp_path / "checkpoints" / NEXT).unlink()
            saved.append(epoch + 1)
    assert saved == [2, 4, 5]


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
def test_the_best_value_is_beaten_by_a_better_one_alone_also_in_a_run_that_goes_on(tmp_path, mode, sign):
    state, found = {"best_value": None}, []
    for value in (math.nan, -math.inf, 3.0, 2.0, 2.0, 2.5, 1.0):
        callback = RunCheckpoint(monitor="val/loss", mode=mode)
        callback.load_state_dict(state)
        figures = {"val/loss": torch.tensor(sign * value)}
        found.append(callback._is_better(trainer_in(tmp_path, callback_metrics=figures)))
        state = callback.state_dict()
    assert found == [False, False, True, True, False, False, True]


@pytest.mark.parametrize(("epoch", "counts"), [(2, False), (3, True)])
def test_a_run_that_ends_between_two_epochs_keeps_the_checkpoint_whose_row_is_written(tmp_path, epoch, counts):
    """Lightning moves on to the next epoch once the row is with the loggers."""
    callback, trainer = RunCheckpoint(), trainer_in(tmp_path, current_epoch=2)
    callback.on_train_epoch_end(trainer, None)
    trainer.current_epoch = epoch
    callback.on_exception(trainer, None, KeyboardInterrupt())
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [LAST if counts else NEXT]


def test_a_best_checkpoint_that_cannot_be_copied_leaves_the_one_before(tmp_path, monkeypatch):
    def full(source, target):
        Path(target).write_text("ha")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "next.ckpt").write_text("half")
    (tmp_path / "best.ckpt").write_text("best")
    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"best\.ckpt: could not be written"):
        copy_in_place(tmp_path / "next.ckpt", tmp_path / "best.ckpt")
    assert (tmp_path / "best.ckpt").read_text() == "best" and len(list(tmp_path.iterdir())) == 2


def test_a_file_is_on_the_disk_before_it_takes_its_place_and_its_name_right_after(tmp_path, monkeypatch):
    path, seen, replace = tmp_path / "file", [], os.replace
    path.write_text("old")

    def replacing(draft, target):
        seen.append(("replace", target.name, target.read_text()))
        replace(draft, target)

    monkeypatch.setattr(atomic, "flush", lambda flushed: seen.append(("flush", flushed.name)))
    monkeypatch.setattr(os, "replace", replacing)
    atomic.write_text(path, "new")
    assert seen == [("flush", "file.draft"), ("replace", "file", "old"), ("flush", tmp_path.name)]
    assert path.read_text() == "new"


def test_the_only_checkpoint_being_damaged_is_an_error_and_none_is_a_fresh_start(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    assert checkpoint_files.newest(tmp_path) is None
    (tmp_path / "checkpoints" / LAST).write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="every checkpoint of this run is damaged"):
        checkpoint_files.newest(tmp_path)


def test_a_job_that_is_queued_again_goes_on_with_the_run_of_its_own_overrides(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "was_requeued", lambda: True)
    monkeypatch.setattr(slurm, "was_in", lambda folder: True)
    for name, line in (("a", "seed=1"), ("b", "seed=2")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "overrides.txt").write_text(f"{line}\n")
    assert resume.of_job(["seed=1"], None, tmp_path) == (tmp_path / "runs" / "a").resolve()
    assert resume.of_job(["seed=3"], None, tmp_path) is None


def test_kept_weights_of_another_model_are_refused(tmp_path):
    file, own = tmp_path / "stage_0002.safetensors", SimpleNamespace(identity=lambda: {"method": "toy", "width": 8})
    about = {"identity": {"method": "toy", "width": 4}, "costs": {"cost/reward_queries": 6.0}}
    save_file({"weight": torch.zeros(1)}, file, {name: json.dumps(value) for name, value in about.items()})
    with pytest.raises(UserError, match="the checkpoint is from width=4, this run is width=8"):
        keeping.about(State(file), own)
    assert keeping.about(State(file), own, free=("width",)) == {"epoch": 2, "costs": {"cost/reward_queries": 6.0}}
