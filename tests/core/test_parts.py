"""The smaller parts: metrics.csv, progress lines, doctor, environment, signals, loggers, pictures."""

import io
import os
import signal
import socket
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from PIL import Image

from src.core import console, doctor, environment, progress, results, runfolder, signals
from src.core.build import build
from src.core.config.compose import compose, config_roots, plain
from src.core.config.overrides import Words
from src.core.csv_logger import CSVRows
from src.core.errors import UserError
from src.core.media import log_image
from src.core.phase import phase
from src.core.places import CONF
from src.core.progress import ConsoleProgress, clock
from src.core.wandb_logger import logged_in


@pytest.fixture
def rows(tmp_path):
    logger = CSVRows()
    logger.attach_run(tmp_path)
    return logger


def test_columns_join_later_and_numbers_are_exact(rows):
    rows.log_metrics({"a": 0.1 + 0.2, "epoch": 0}, step=0)
    rows.epoch = 0
    rows.log_metrics({"b": 1.0}, step=1)
    assert rows.file.read_text() == "step,epoch,a,b\n0,-1,0.30000000000000004,\n1,0,,1.0\n"


def test_continued_file_drops_later_rows_only_when_there_are_new_ones(rows, tmp_path):
    for epoch in range(3):
        rows.epoch = epoch
        rows.log_metrics({"a": float(epoch)}, step=epoch)
    with rows.file.open("a") as stream:
        stream.write("3,3,0.")  # cut off by a crash
    whole = rows.file.read_text()
    again = CSVRows()
    again.attach_run(tmp_path)
    again.keep_until(1)
    assert rows.file.read_text() == whole
    again.epoch = 2
    again.log_metrics({"a": 9.0}, step=2)
    assert rows.file.read_text() == "step,epoch,a\n0,0,0.0\n1,1,1.0\n2,2,9.0\n"


def test_phase_speaks_seldom_without_a_terminal(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    display = ConsoleProgress()
    display.live = False
    trainer = SimpleNamespace(callbacks=[display], world_size=1)
    with phase(trainer, "sampling", total=40, unit="steps") as advance:
        for _ in range(40):
            now[0] += 1.0
            advance(1)
    assert capsys.readouterr().out.split("\n") == ["  sampling 16/40 steps", "  sampling 32/40 steps", ""]


def test_phase_without_a_trainer_is_silent(capsys):
    with phase(None, "sampling", total=2) as advance:
        advance()
        advance(1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("own", "error", "asks"), [
    (3, None, 3),
    (1, None, 3),  # a rank with less to do than another
    (0, None, 3),
    (5, None, 3),
    (1, UserError("its reward failed"), 3),  # the others go on until all are told
    (1, RuntimeError("ends the process"), 1),
])
def test_ranks_ask_equally_often_whether_to_stop(monkeypatch, own, error, asks):
    asked = []
    monkeypatch.setattr("src.core.phase.stop_together", asked.append)
    trainer = SimpleNamespace(world_size=2)
    with pytest.raises(type(error)) if error else nullcontext(), phase(trainer, "scoring", most=3) as advance:
        for _ in range(own):
            advance()
        if error:
            raise error
    assert asked == [trainer] * asks


def test_a_rank_that_nobody_can_answer_asks_no_more(monkeypatch):
    monkeypatch.setattr("src.core.phase.stop_together", lambda trainer: pytest.fail("it would wait for ever"))
    for reason in ("alone", "lost"):
        error = UserError("out of memory")
        setattr(error, reason, True)
        with pytest.raises(UserError), phase(SimpleNamespace(world_size=2), "sampling", most=3):
            raise error


def test_bars_on_a_terminal(monkeypatch):
    monkeypatch.setattr(console, "out", console.Console(force_terminal=True, width=100, file=io.StringIO()))
    display = ConsoleProgress()
    trainer = SimpleNamespace(callbacks=[display], world_size=1, is_global_zero=True, max_epochs=3, current_epoch=0,
                              num_training_batches=2, progress_bar_metrics={"loss": 0.5})
    module = SimpleNamespace(epoch_name="stage")
    display.on_fit_start(trainer, module)
    display.on_train_start(trainer, module)
    display.on_train_epoch_start(trainer, module)
    with phase(trainer, "scoring", total=2) as advance:
        advance(2)
        assert [task.description for task in display.bars.tasks] == ["stage", "  training", "  scoring"]
    display.on_train_epoch_end(trainer, module)
    assert [(task.description, task.completed) for task in display.bars.tasks] == [("stage", 1)]
    display.on_train_end(trainer, module)
    assert display.bars is None


def test_clock():
    assert [clock(value) for value in (5, 75, 3725)] == ["0:05", "1:15", "1:02:05"]


def test_doctor_has_one_line_per_check_and_survives_broken_ones(monkeypatch, capsys):
    def broken() -> doctor.Finding:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "CHECKS", (*doctor.CHECKS, broken))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    assert doctor.main() >= 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(doctor.CHECKS)
    assert lines[-1].startswith("warn") and "no such thing" in lines[-1] and lines[1].startswith("ok")


def test_environment_names_code_packages_and_machine():
    found = environment.describe()
    assert found["packages"]["lightning"] and found["hardware"]["memory_gib"] > 0 and found["python"]


def test_signal_stops_at_the_next_check_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with signals.caught():
        signals.check_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(signals.StopRun) as stop:
            signals.check_stop()
        assert stop.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_second_interrupt_stops_at_once():
    with signals.caught():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_figures_without_a_value_are_null(tmp_path):
    found = results.Results(tmp_path, "toy", 0, "train", "command")
    found.add({"a": float("nan"), "b": 1.0}, "_after")
    found.save("finished")
    assert results.read(tmp_path)["a_after"] is None and results.read(tmp_path)["b_after"] == 1.0
    (tmp_path / "metrics.json").write_text("{")
    assert results.read(tmp_path) == {}


def test_run_folder_is_agreed_on_or_asked_for(monkeypatch, tmp_path):
    cfg = {"mode": "train", "name": None, "output_dir": str(tmp_path), "run_dir": None}
    first = runfolder.choose(cfg, "toy", None)
    first.mkdir(parents=True)
    assert runfolder.choose(cfg, "toy", None) != first
    assert runfolder.choose(cfg, "toy", str(tmp_path / "hydra")) == tmp_path / "hydra"
    monkeypatch.setenv(runfolder.ENV, str(tmp_path / "agreed"))
    assert runfolder.choose(cfg, "toy", None) == tmp_path / "agreed"
    monkeypatch.delenv(runfolder.ENV)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(runfolder.UserError, match="run_dir=<folder>"):
        runfolder.choose(cfg, "toy", None)


def test_wandb_login_is_looked_for_and_never_asked_for(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not logged_in()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password key\n")
    assert logged_in()
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_API_KEY", "key")
    assert logged_in()


def test_a_wandb_run_goes_to_the_team_that_is_named(tmp_path):
    for given, expected in ((["logger.wandb.entity=my-team"], "my-team"), ([], None)):  # None: wandb asks WANDB_ENTITY
        node = plain(compose([*given, f"output_dir={tmp_path}"]).cfg)["logger"]["wandb"]
        assert build(node)._wandb_init["entity"] == expected


def test_pictures_go_to_loggers_that_take_them(tmp_path):
    Image.new("RGB", (2, 3)).save(tmp_path / "a.png")
    seen = []
    taking = SimpleNamespace(log_image=lambda key, images, step: seen.append((key, images[0].size, step)))
    board = SimpleNamespace(experiment=SimpleNamespace(
        add_image=lambda key, array, step, dataformats: seen.append((key, array.shape, step))))
    trainer = SimpleNamespace(is_global_zero=True, loggers=[taking, board, SimpleNamespace()])
    log_image(trainer, "k", tmp_path / "a.png", step=4)
    assert seen == [("k", (2, 3), 4), ("k", (3, 2, 3), 4)]
    log_image(None, "k", tmp_path / "a.png", step=4)


def own_options() -> list[str]:
    with config_roots() as loader:
        words = Words(loader, CONF / "config.yaml")
        groups = ("trainer", "logger", "callbacks", "debug")
        return [f"{group}={name}" for group in groups for name in words.options(group)]


@pytest.mark.parametrize("override", own_options())
def test_every_option_of_the_general_groups_composes(override, toy):
    from src.core.config.check import check

    composed = compose(["method=toy", override], [CONF.parent / "tests" / "core" / "conf"])
    assert composed.problems == []
    check(plain(composed.cfg))
