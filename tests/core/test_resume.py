"""An interrupted and continued run equals one that was not: weights, figures and every row of metrics.csv."""

import json
import os
import shutil
import signal
import zipfile
from pathlib import Path

import pytest
import torch

from src.core import runfolder
from src.core.config.words import lasting, merge
from src.run import run
from tests.core.conftest import CONF, Runner

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


def test_auto_goes_on_in_the_folder_that_is_named(toy, wholes, tmp_path, capsys):
    """The very same command plus resume=auto, from the first start to beyond the end."""
    command = [f"run_dir={tmp_path / 'run'}", "resume=auto"]
    assert toy(*command, "method.stop_at=8") == 143
    assert f"there is no run in {tmp_path / 'run'} yet; starting afresh" in capsys.readouterr().out
    assert toy(*command, "method.stop_at=8") == 143  # goes on behind the epoch that was finished
    assert "epochs)" in capsys.readouterr().out
    assert toy(f"resume={tmp_path / 'run'}", "method.stop_at=null") == 0
    assert outcome(tmp_path / "run") == outcome(wholes / "plain")
    assert toy(*command, "method.stop_at=null") == 0
    assert "finished already" in capsys.readouterr().out and not toy.folders
    assert toy(*command, "seed=1", "method.stop_at=null") == 2
    error = capsys.readouterr().err
    assert f"run_dir={tmp_path / 'run'}: the run in it differs from this command in seed=1" in error
    assert f"resume={tmp_path / 'run'}, or name another folder" in error
    assert toy(*command, "method.widht=1") == 2
    told = capsys.readouterr()
    assert "error: method.widht=1: there is no key" in told.err and not told.out


def test_a_finished_run_is_not_evaluated_again(toy, capsys):
    assert toy("trainer.max_epochs=1") == 0
    before = {path: path.stat().st_mtime_ns for path in toy.folder.rglob("*")}
    assert toy(f"resume={toy.folder}") == 0
    told = capsys.readouterr().out
    assert f"finished already; its figures are in {toy.folder / 'metrics.json'}" in told
    assert {path: path.stat().st_mtime_ns for path in toy.folder.rglob("*")} == before
    assert toy(f"resume={toy.folder}", "ckpt=latest") == 2
    again = next(line for line in told.splitlines() if line.startswith("Evaluate it again"))
    assert toy(*again.partition("src.run ")[2].split()) == 0


def test_latest_is_the_newest_run_that_has_a_checkpoint(toy, capsys):
    assert toy("method.stop_at=0") == 143
    assert toy("mode=eval", "ckpt=latest", "method.stop_at=null") == 2
    assert "has no checkpoint" in capsys.readouterr().err
    older = toy.folder
    assert toy(f"resume={older}", "method.stop_at=null") == 0
    assert toy("name=killed", "method.stop_at=0") == 143
    assert toy("mode=eval", "ckpt=latest") == 0
    told = capsys.readouterr().out
    assert f"_killed has no checkpoint; {older} is the newest run that has one" in told
    assert toy("mode=eval", f"ckpt={next(path for path in toy.folders if path.name.endswith('killed'))}") == 2


@pytest.mark.parametrize("kind", ["empty", "garbage"])
def test_a_damaged_checkpoint_is_told_before_torch_is_imported(toy, tmp_path, capsys, monkeypatch, kind):
    """Another one is named only if it is there and can be read."""
    assert toy("trainer.max_epochs=2") == 0
    monkeypatch.setattr("src.core.launch.launch", None)
    last = toy.folder / "checkpoints" / "last.ckpt"
    last.write_bytes({"empty": b"", "garbage": b"PK nothing"}[kind])
    for mode in ("eval", "protocol"):
        assert toy(f"mode={mode}", f"ckpt={last}") == 2
        error = capsys.readouterr().err
        assert f"{last}: the checkpoint is damaged" in error and "Use last-prev.ckpt, which lies beside it" in error
    alone = shutil.copy(last, tmp_path / "alone.ckpt")
    assert toy("mode=eval", f"ckpt={alone}") == 2
    error = capsys.readouterr().err
    assert "Give another one" in error and "last-prev" not in error


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


def test_figures_before_and_after_are_of_one_evaluation(toy, capsys, metrics):
    """Refused before anything is written; a run that did not say how it was evaluated goes on."""
    assert toy("method.stop_at=8") == 143
    before = {path.name: path.read_bytes() for path in toy.folder.iterdir() if path.is_file()}
    again = (f"resume={toy.folder}", "method.stop_at=null", "method.kind=fancy")
    assert toy(*again) == 2
    told = capsys.readouterr().err
    assert "error: method.kind=fancy: this run was evaluated before training with method.kind=plain" in told
    assert {path.name: path.read_bytes() for path in toy.folder.iterdir() if path.is_file()} == before
    assert toy(f"resume={toy.folder}", "method.stop_at=14") == 143
    assert toy(*again) == 2
    stored = metrics(toy.folder)
    assert stored.pop("evaluated_as") == {"method.kind": "plain"}
    (toy.folder / "metrics.json").write_text(json.dumps(stored))
    assert toy(*again) == 0


def test_a_run_of_own_recipes_finds_them_again(toy, metrics, tmp_path, capsys):
    """`--config-dir` need not be typed for what goes on with a run, unless the folder has moved."""
    assert toy("trainer.max_epochs=1") == 0
    folder = toy.folder
    assert run([f"resume={folder}", "trainer.max_epochs=2"]) == 0
    assert f"--config-dir {CONF}" in metrics(folder)["command"]
    assert run(["mode=eval", f"ckpt={folder}"]) == 0
    (folder / "config_dirs.txt").write_text(f"{tmp_path / 'moved'}\n")
    capsys.readouterr()
    assert run([f"resume={folder}"]) == 2
    assert f"--config-dir {tmp_path / 'moved'}: there is no such folder" in capsys.readouterr().err
    assert toy(f"resume={folder}") == 0


def test_folder_of_a_running_process_is_left_alone(toy, capsys):
    assert toy("method.stop_at=8") == 143
    held = runfolder.lock(toy.folder)
    assert toy(f"resume={toy.folder}") == 2
    assert "another process is running" in capsys.readouterr().err
    held.close()
    shutil.rmtree(toy.folder / "checkpoints")
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0


def test_an_evaluation_is_not_gone_on_with(toy, capsys):
    assert toy("mode=eval") == 0
    assert toy(f"resume={toy.folder}") == 2
    assert "this was a run of mode=eval" in capsys.readouterr().err


def test_overrides_are_merged_by_key():
    assert merge(["a=1", "+b.c=2", "~d"], ["b.c=3", "e=1"]) == ["a=1", "~d", "b.c=3", "e=1"]
    assert lasting(["resume=auto", "a=1", "hydra.run.dir=x", "run_dir=y"]) == ["a=1"]


FULL = {"a checkpoint": ("checkpoints/next.ckpt", 1), "a row": ("metrics.csv", 7), "figures": ("metrics.json", 3)}


@pytest.mark.parametrize("place", FULL)
def test_a_full_disk_is_told_in_a_sentence_and_the_run_can_be_continued(toy, wholes, capsys, monkeypatch, place):
    """From the n-th opening on, the file behaves as one on a disk without room."""
    name, nth = FULL[place]
    original, opened, full = Path.open, [], [True]

    def opening(path, mode="r", *args, **options):
        if full and str(path).removesuffix(".draft").endswith(name) and mode[0] in "wa":
            opened.append(path)
            if len(opened) >= nth:
                return original(Path("/dev/full"), mode, *args, **options)
        return original(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", opening)
    assert toy("method.stop_at=20") == 1
    text = capsys.readouterr()
    error = " ".join(text.err.split())
    assert f"{name}: could not be written: No space left on device" in error and "Traceback" not in error
    assert f"resume={toy.folder}" in text.out
    assert not list(toy.folder.rglob("*.draft"))
    full.clear()
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0
    assert outcome(toy.folder) == outcome(wholes / "plain")


@pytest.mark.parametrize("kind", ["empty", "garbage", "cut"])
def test_a_damaged_checkpoint_is_not_kept_as_the_one_before(toy, wholes, kind, capsys):
    """After a second interruption, the checkpoint that was good is still the one to fall back to."""
    assert toy("method.stop_at=14") == 143
    last = toy.folder / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    last.write_bytes({"empty": b"", "garbage": os.urandom(len(content)), "cut": content[:-100]}[kind])
    assert toy(f"resume={toy.folder}", "method.stop_at=9") == 143
    assert "last.ckpt is damaged" in capsys.readouterr().err
    assert sorted(path.name for path in last.parent.iterdir()) == ["last-prev.ckpt"]
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0
    assert outcome(toy.folder) == outcome(wholes / "plain")


def test_auto_goes_on_with_a_run_that_was_killed_before_its_first_figures(toy, wholes):
    assert toy("method.stop_at=0") == 143
    (toy.folder / "metrics.json").unlink()
    shutil.rmtree(toy.folder / "checkpoints", ignore_errors=True)
    assert toy("method.stop_at=0", "resume=auto") == 143
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0
    assert outcome(toy.folder) == outcome(wholes / "plain")


def test_a_worker_that_outlives_a_killed_run_does_not_hold_its_folder(tmp_path):
    """Forked processes share the descriptor of the lock."""
    folder = runfolder.RunFolder(tmp_path)
    folder.open({}, [])
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begun, b".")
        signal.pause()
    os.read(ready, 1)
    folder.close()
    try:
        assert not runfolder.is_locked(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
