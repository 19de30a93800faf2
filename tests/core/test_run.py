"""A whole run of the toy method: what is in its folder, how it ends, what it says."""

import json
import os
import signal
import time

import pytest
import torch
import yaml

from src.core.console import figures_table

EXPECTED = {"config.yaml", "overrides.txt", "env.json", "metrics.csv", "metrics.json", "checkpoints", "plots", "export"}


def test_folder_of_a_finished_run(toy, metrics, capsys):
    assert toy("seed=3", "resume=auto", "method.lr=0.05") == 0
    folder = toy.folder
    assert {path.name for path in folder.iterdir()} >= EXPECTED
    assert (toy.output / "latest").resolve() == folder
    summary = metrics(folder)
    assert summary["method"] == "toy" and summary["status"] == "finished" and summary["seed"] == 3
    assert summary["seconds"] > 0 and "seed=3" in summary["command"]
    assert summary["eval/error_after"] < summary["eval/error_before"]
    assert (folder / "overrides.txt").read_text().split() == ["method=toy", f"output_dir={toy.output}", "seed=3",
                                                             "method.lr=0.05"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["method"]["lr"] == 0.05 and config["run_dir"] == str(folder)
    environment = json.loads((folder / "env.json").read_text())
    assert environment["packages"]["torch"] and environment["hardware"]["cores"] >= 1 and "dirty" in environment
    text = capsys.readouterr().out
    assert "width" in text and "before" in text and "epoch 3/3" in text


def test_checkpoints_are_plain_and_name_their_owner(toy):
    assert toy("callbacks.checkpoint.monitor=train/loss", "callbacks.checkpoint.mode=min") == 0
    for name in ("last", "last-prev", "best"):
        content = torch.load(toy.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert content["identity"] == {"method": "toy", "width": 4}
    assert sorted(path.name for path in (toy.folder / "checkpoints").iterdir()) == \
        ["best.ckpt", "last-prev.ckpt", "last.ckpt"]


def test_checkpoint_that_could_not_be_read_back_fails_at_once(toy, metrics, capsys):
    assert toy("method.junk=true") == 1
    assert "more than tensors and plain containers" in capsys.readouterr().err
    assert metrics(toy.folder)["status"] == "failed"


def test_failure_leaves_a_log_and_one_line(toy, metrics, capsys):
    assert toy("method.fail_at=8") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: RuntimeError: the toy broke. The traceback is in") and "Traceback" not in error
    assert "the toy broke" in (toy.folder / "error.log").read_text()
    assert metrics(toy.folder)["status"] == "failed"


def test_traceback_on_request(toy, capsys, monkeypatch):
    monkeypatch.setenv("B2_TRACEBACK", "1")
    assert toy("method.fail_at=0") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_small_run_shows_the_traceback_of_a_defect_but_not_of_bad_input(toy, capsys, monkeypatch):
    assert toy("debug=tiny", "method.fail_at=0") == 1
    assert "Traceback" in capsys.readouterr().err
    assert toy("debug=tiny", "method.weights=there") == 2
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("B2_TRACEBACK", "1")
    assert toy("debug=tiny", "method.weights=there") == 2
    assert "Traceback" in capsys.readouterr().err


def test_bad_input_found_while_setting_up_leaves_nothing(toy, tmp_path, capsys):
    assert toy("method.weights=there") == 2
    assert "method.weights=there: there are no such weights" in capsys.readouterr().err
    assert toy.folders == [] and not (toy.output / "latest").is_symlink()
    assert toy("trainer.max_epochs=1", f"run_dir={tmp_path / 'first'}") == 0
    assert toy("method.weights=there") == 2
    assert (toy.output / "latest").resolve() == tmp_path / "first"


def test_evaluate_and_sample_from_a_run(toy, metrics, capsys):
    assert toy("method.width=3") == 0
    trained = metrics(toy.folder)["eval/error_after"]
    assert toy("mode=eval", "ckpt=latest") == 0  # width=3 comes from the run's own overrides
    assert toy("mode=eval", f"ckpt={toy.folders[0] / 'checkpoints' / 'last.ckpt'}", "name=file") == 0
    assert toy("mode=eval", "method.width=3", "name=untrained") == 0
    figures = {folder.name.split("eval")[1]: metrics(folder)["eval/error"] for folder in toy.folders[1:]}
    assert figures[""] == figures["_file"] == trained < figures["_untrained"]
    assert (toy.output / "latest").resolve() == toy.folders[0]
    assert toy("mode=sample", "ckpt=latest", "prompts=[one,two]") == 0
    sampled = next(folder for folder in toy.folders if "_sample" in folder.name)
    assert sorted(path.name for path in (sampled / "samples").iterdir()) == ["0.png", "1.png"]
    assert toy("mode=eval", "ckpt=latest", "method.width=5") == 2
    assert "width=3" in capsys.readouterr().err


def test_tiny_takes_its_values_from_the_method(toy):
    assert toy("debug=tiny") == 0
    config = yaml.safe_load((toy.folder / "config.yaml").read_text())
    assert config["method"]["width"] == 2 and config["trainer"]["max_epochs"] == 2
    assert toy("debug=tiny", "method.width=6", "name=own") == 0
    assert yaml.safe_load((toy.folders[1] / "config.yaml").read_text())["method"]["width"] == 6


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signal_from_outside_leaves_a_run_that_can_be_continued(toy, metrics, tmp_path, signum):
    """It ends at once, and continued it ends like a run that was left alone."""
    assert toy(f"run_dir={tmp_path / 'whole'}") == 0
    log, run = tmp_path / "log", tmp_path / "run"
    process = toy.start(log, f"run_dir={run}", "method.delay=0.1")
    while not (log.is_file() and "epoch 1/3" in log.read_text()):
        assert os.waitpid(process, os.WNOHANG) == (0, 0), log.read_text()
        time.sleep(0.05)
    time.sleep(0.2)
    os.kill(process, signum)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if signum == signal.SIGKILL:
        assert code == -signum and metrics(run)["status"] == "running"
    else:
        assert code == 128 + signum and metrics(run)["status"] == "interrupted"
        assert f"resume={run}" in log.read_text() and "Traceback" not in log.read_text()
        assert (run / "plots").is_dir()
    assert toy(f"resume={run}", "method.delay=0.0") == 0
    assert (run / "metrics.csv").read_text() == (tmp_path / "whole" / "metrics.csv").read_text()


def test_table_shows_pairs_and_single_figures(capsys):
    figures_table({"a_before": 1.0, "a_after": 1.25, "b_after": 2.0, "cost/seconds": 12345.0})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["a", "1", "1.25", "+0.25"] in lines and ["b", "-", "2", "-"] in lines
    assert ["cost/seconds", "12,345"] in lines


@pytest.mark.parametrize("logger", ["tensorboard", "wandb"])
def test_loggers_take_figures_and_pictures(toy, logger, monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert toy(f"logger={logger}", "method.stop_at=3") == 143
    assert toy(f"resume={toy.folder}", "method.stop_at=null") == 0
    if logger == "tensorboard":
        assert list((toy.folder / "tensorboard").glob("events*"))
    else:
        identity = (toy.folder / "wandb_id.txt").read_text()
        assert len(list((toy.output / "wandb").glob(f"offline-run-*-{identity}"))) >= 1
        assert list((toy.output / "wandb").glob("offline-run-*/files/media/images/*.png"))
