"""An interrupted and continued run equals one that was not: weights, figures and every row of metrics.csv."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from src.core.resume import lasting, merge
from tests.core.conftest import Runner

VARIANTS = {
    "plain": [],
    "reload": ["trainer.reload_dataloaders_every_n_epochs=1"],
    "validate": ["method.validate=true", "callbacks.checkpoint.monitor=val/loss", "callbacks.checkpoint.mode=min"],
    "sparse": ["callbacks.checkpoint.every_n_epochs=2"],
}


def outcome(folder: Path) -> tuple[str, dict, list, dict]:
    summary = json.loads((folder / "metrics.json").read_text())
    weights = {name: value.tolist() for name, value in torch.load(folder / "export" / "net.pt").items()}
    figures = {name: value for name, value in summary.items() if "/" in name}
    history = json.loads((folder / "plots" / "history.json").read_text())
    return (folder / "metrics.csv").read_text(), weights, history, figures


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    """Uninterrupted runs, each made once: variant -> folder."""
    folder, toy = tmp_path_factory.mktemp("wholes"), Runner(tmp_path_factory.mktemp("none"))
    for variant, extra in VARIANTS.items():
        assert toy(*extra, f"run_dir={folder / variant}") == 0
    return folder


@pytest.mark.parametrize(
    ("variant", "stop_at"),
    [("plain", 0), ("plain", 3), ("plain", 6), ("plain", 11), ("plain", 17), ("reload", 6), ("reload", 11),
     ("validate", 11), ("validate", 17), ("sparse", 10), ("sparse", 14)],
)
def test_stopped_and_continued_equals_uninterrupted(toy, wholes, variant, stop_at):
    extra, whole = VARIANTS[variant], wholes / variant
    assert toy(*extra, f"method.stop_at={stop_at}") == 143
    folder = toy.folder
    assert json.loads((folder / "metrics.json").read_text())["status"] == "interrupted"
    assert toy(f"resume={folder}", "method.stop_at=null") == 0
    assert outcome(folder) == outcome(whole)
    assert toy.folders == [folder]


def test_stopped_twice(toy, wholes):
    assert toy("method.stop_at=8") == 143
    assert toy(f"resume={toy.folder}", "method.stop_at=14") == 143
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0
    assert outcome(toy.folder) == outcome(wholes / "plain")


def test_finished_run_trains_on_when_asked_for_more_epochs(toy, tmp_path):
    assert toy(f"run_dir={tmp_path / 'whole'}", "trainer.max_epochs=4") == 0
    assert toy() == 0
    assert toy(f"resume={toy.folder}", "trainer.max_epochs=4") == 0
    assert outcome(toy.folder) == outcome(tmp_path / "whole")


def test_auto_continues_the_newest_unfinished_run_with_equal_overrides(toy, metrics, capsys):
    assert toy("resume=auto", "seed=3", "method.fail_at=7") == 1
    assert "starting afresh" in capsys.readouterr().out
    folder = toy.folder
    assert toy("resume=auto", "seed=4", "method.fail_at=7") == 1
    assert len(toy.folders) == 2
    seconds = metrics(folder)["seconds"]
    assert toy("method.fail_at=7", "seed=3", "resume=auto") == 1
    assert len(toy.folders) == 2
    assert metrics(folder)["seconds"] > seconds


def test_auto_starts_afresh_after_a_finished_run(toy):
    assert toy() == 0
    assert toy("resume=auto") == 0
    assert len(toy.folders) == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Change one byte of the largest tensor."""
    with zipfile.ZipFile(path) as archive:
        part = max((item for item in archive.infolist() if "/data/" in item.filename), key=lambda item: item.file_size)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04", part.header_offset + 1) - 70] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["cut", "flip"])
def test_damaged_checkpoint_goes_on_from_the_one_before(toy, wholes, capsys, kind):
    damage = {"cut": cut, "flip": flip}
    assert toy("method.stop_at=14") == 143
    damage[kind](toy.folder / "checkpoints" / "last.ckpt")
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0
    assert "last.ckpt is damaged" in capsys.readouterr().err
    assert outcome(toy.folder) == outcome(wholes / "plain")


def test_two_damaged_checkpoints_are_an_error(toy, capsys):
    assert toy("method.stop_at=14") == 143
    for name in ("last.ckpt", "last-prev.ckpt"):
        (toy.folder / "checkpoints" / name).write_bytes(b"PK nothing")
    assert toy(f"resume={toy.folder}") == 2
    assert "every checkpoint of this run is damaged" in capsys.readouterr().err


def test_missing_folder_and_foreign_checkpoint(toy, tmp_path, capsys):
    assert toy(f"resume={tmp_path / 'nowhere'}") == 2
    assert "there is no such run folder" in capsys.readouterr().err
    assert toy("method.stop_at=8") == 143
    before = {path.name: path.read_bytes() for path in toy.folder.iterdir() if path.is_file()}
    assert toy(f"resume={toy.folder}", "method.width=8") == 2
    error = capsys.readouterr().err
    assert "width=4" in error and "width=8" in error and "Traceback" not in error
    assert toy(f"resume={toy.folder}", "method.weights=none") == 2
    assert {path.name: path.read_bytes() for path in toy.folder.iterdir() if path.is_file()} == before


def test_folder_of_a_running_process_is_left_alone(toy, capsys):
    from src.core import runfolder

    assert toy("method.stop_at=8") == 143
    held = runfolder.lock(toy.folder)
    assert toy(f"resume={toy.folder}") == 2
    assert "another process is running" in capsys.readouterr().err
    held.close()
    shutil.rmtree(toy.folder / "checkpoints")
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0


def test_overrides_are_merged_by_key():
    assert merge(["a=1", "+b.c=2", "~d"], ["b.c=3", "e=1"]) == ["a=1", "~d", "b.c=3", "e=1"]
    assert lasting(["resume=auto", "a=1", "hydra.run.dir=x", "run_dir=y"]) == ["a=1"]
