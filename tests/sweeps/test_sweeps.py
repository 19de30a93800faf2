"""Sweeps from the command line: side by side, failed, interrupted, continued, and what is in their folder."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from src.core import wandb_logger
from src.sweeps import commands, machine, report
from tests.core.conftest import Runner

TWO = """# @package _global_
optimized_metric: val/loss
hydra: {sweeper: {params: {seed: '0,1', method.lr: [0.1, 0.01]}}}
"""
WRONG = {
    "option": (["-m", "seed=0,1", "reward=clip,clop", "method.widht=2"], ["reward=clop", "Did you mean method.width?"]),
    "name": (["sweep=nothing"], ["there is no such sweep"]),
    "later values": (["-m", "method.lr=0.1,abc", "seed=0,1,x", "method.kind=plain,palin"], [
        "method.lr=abc: must be a number", "seed=x", "method.kind=palin: must be one of plain, fancy"]),
    "key": (["-m", "method.widht=1,2"], ["there is no key method.widht. Did you mean method.width?"]),
    "end of an interval": (["-m", "hydra/sweeper=random", "method.width=interval(1.5,2)"], ["must be a whole number"]),
    "interval in a grid": (["-m", "method.lr=interval(0.1,1)"], ["a grid needs a list of values"]),
    "sweeper": (["-m", "seed=0,1", "hydra/sweeper=random", "hydra.sweeper.n_trials=x"], ["hydra.sweeper.n_trials=x"]),
    "search without an aim": (["-m", "seed=0,1", "hydra/sweeper=optuna"], ["must know which figure to improve"]),
    "folder to continue": (["-m", "seed=0,1", "resume=nowhere"], ["this is not a sweep's folder"]),
    "jobs": (["-m", "seed=0,1", "jobs=0"], ["jobs=0: must be 1 or more", "the number of jobs at a time"]),
    "jobs in words": (["-m", "seed=0,1", "jobs=two"], ["must be the number of jobs at a time"]),
    "sweeper's key": (["-m", "seed=0,1", "hydra/sweeper=random", "hydra.sweeper.n_trails=3"], [
        "there is no key hydra.sweeper.n_trails. Did you mean hydra.sweeper.n_trials?"]),
    "launcher's key": (["-m", "seed=0,1", "hydra.launcher.njobs=2"], ["Did you mean hydra.launcher.n_jobs?"]),
    "sweep's key": (["-m", "seed=0,1", "hydra.sweep.dirr=x"], ["Did you mean hydra.sweep.dir?"]),
    "new key of the sweeper": (["-m", "seed=0,1", "+hydra.sweeper.trials=3"], ["hydra.sweeper.trials=3"]),
    "name of a sweeper": (["-m", "seed=0,1", "hydra/sweeper=randm"], [
        "hydra/sweeper=randm: there is no such hydra/sweeper. Did you mean random?"]),
    "two sweepers": (["-m", "seed=0,1", "hydra/sweeper=random,grid"], [
        "hydra/sweeper=random,grid: this is the sweep's own key"]),
    "two numbers of jobs": (["-m", "seed=0,1", "jobs=1,2", "sweep_dir=a,b"], [
        "jobs=1,2: this is the sweep's own key", "sweep_dir=a,b: this is the sweep's own key"]),
    "params typed": (["-m", "hydra.sweeper.params.seed=0,1"], ["Write seed=0,1"]),
    "own key in params": (["-m", "seed=0,1", "+hydra.sweeper.params={jobs:2}"], ["hydra.sweeper.params.jobs: this is"]),
    "folder by number": (["-m", "seed=0,1", "sweep_dir=5"], ["sweep_dir=5: must be a folder"]),
    "all cores": (["-m", "seed=0,1", "hydra.launcher.n_jobs=-1"], [
        "hydra.launcher.n_jobs=-1: must be 1 or more", f"jobs={machine.cores()}"]),
    "threads": (["-m", "seed=0,1", "hydra.launcher.threads_per_job=0"], ["threads_per_job=0: must be 1 or more"]),
    "GPUs": (["-m", "seed=0,1", "hydra.launcher.gpus_per_job=-1"], ["gpus_per_job=-1: must be 0 or more"]),
    "no points": (["-m", "seed=0,1", "hydra/sweeper=random", "hydra.sweeper.n_trials=0"], ["must be 1 or more"]),
    "pattern of no group": (["-m", "seed=glob(*)"], ["seed=glob(*): names no value"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_told_before_the_first_job_starts(sweeps, capsys, name):
    words, expected = WRONG[name]
    assert sweeps(*words) == 2
    error = capsys.readouterr().err
    assert all(text in error for text in expected) and "Traceback" not in error
    assert not sweeps.output.exists()


def test_jobs_run_side_by_side_and_are_told_in_a_table(sweeps, capsys, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 6)
    assert sweeps("-m", "method.lr=0.1,0.01,1", "seed=0,1", "jobs=2", "method.delay=0.3") == 0
    text, rows = capsys.readouterr().out, sweeps.rows()
    assert [(row["method.lr"], row["seed"], row["status"]) for row in rows[:3]] == [
        ("0.1", "0", "finished"), ("0.1", "1", "finished"), ("0.01", "0", "finished")]
    assert rows[0]["eval/error_after"] == "1.0" and rows[0]["seconds"] == "1.5"
    folders = [sweeps.folder / row["folder"] for row in rows]
    assert all(json.loads((folder / "env.json").read_text())["OMP_NUM_THREADS"] == "3" for folder in folders)
    began = [float((folder / "starts.txt").read_text().split()[1]) for folder in folders]
    ended = [json.loads((folder / "metrics.json").read_text())["ended"] for folder in folders]
    assert began[1] < ended[0] and all(sum(a <= moment < b for a, b in zip(began, ended, strict=True)) <= 2
                                       for moment in began)
    table = [line.split() for line in text.splitlines() if line[:4] in ("0.01", "0.1 ", "1   ")]
    assert [line[0] for line in table] == ["0.01", "0.1", "1"]  # the smallest error first
    assert "smallest" in text and "[6/6]" in text and (sweeps.folder / "plots" / "parameters.png").is_file()
    assert (sweeps.folder / "logs").is_dir() and sweeps.record()["complete"]


def test_jobs_of_a_sweep_over_devices_get_what_the_largest_needs(sweeps, monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: ["4", "5", "6", "7"])
    assert sweeps("-m", "trainer=gpu", "trainer.devices=1,2", "seed=0,1", "jobs=auto", "method.delay=0.3") == 0
    shares = {json.loads(file.read_text())["CUDA_VISIBLE_DEVICES"] for file in sweeps.folder.glob("*/env.json")}
    assert shares == {"4,5", "6,7"}


def test_failed_job_stops_nothing_and_is_tried_again(sweeps, capsys):
    words = ["-m", "method.fail_at=null,0", "seed=0,1", "jobs=2"]
    assert sweeps(*words) == 1
    error = capsys.readouterr().err
    assert "2 of 4 jobs failed" in error and "RuntimeError: the toy broke" in error and "002_fail_at-0" in error
    assert [row["status"] for row in sweeps.rows()] == ["finished"] * 2 + ["failed"] * 2
    (sweeps.folder / "mended").touch()
    assert sweeps(*words, "resume=auto", "jobs=1") == 0
    assert sweeps.starts() == [["fresh"], ["fresh"], ["fresh", "resumed"], ["fresh", "resumed"]]
    assert [row["status"] for row in sweeps.rows()] == ["finished"] * 4
    assert sweeps(f"resume={sweeps.folder}") == 0  # nothing is left
    assert sweeps.starts()[0] == ["fresh"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_sweep_ends_all_and_goes_on_where_it_stopped(sweeps, tmp_path, signum):
    words = ["-m", "seed=0,1,2,3", "method.delay=60", "jobs=2"]
    process = sweeps.start(tmp_path / "log", *words)
    sweeps.wait_for(process, "sweeps/*/*/env.json", 2)
    os.kill(process, signum)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 128 + signum
    assert [job["status"] for job in sweeps.record()["jobs"]] == ["interrupted"] * 2 + ["waiting"] * 2
    assert f"resume={sweeps.folder}" in (tmp_path / "log").read_text()
    assert [row["status"] for row in sweeps.rows()] == ["interrupted"] * 2 + ["waiting"] * 2
    (sweeps.folder / "mended").touch()
    assert sweeps(f"resume={sweeps.folder}") == 0
    assert sweeps.starts() == [["fresh", "resumed"]] * 2 + [["fresh"]] * 2


def test_sweep_killed_at_once_leaves_runs_that_are_waited_for(sweeps, tmp_path):
    process = sweeps.start(tmp_path / "log", "-m", "seed=0,1", "jobs=2", "method.delay=2", "sweep_dir=" + str(
        sweeps.output / "sweeps" / "mine"))
    sweeps.wait_for(process, "sweeps/*/*/env.json", 2)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    time.sleep(2.5)  # the runs end by themselves
    words = ["-m", "seed=0,1", "method.delay=2", f"sweep_dir={sweeps.output / 'sweeps' / 'mine'}"]
    assert sweeps(*words) == 0
    assert sweeps.starts() == [["fresh"]] * 2
    assert sweeps(*words, "method.lr=1") == 2  # another sweep


def test_named_sweep_with_its_own_figure(sweeps, tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "two.yaml").write_text(TWO)
    (tmp_path / "sweep" / "empty.yaml").write_text("# @package _global_\nseed: 1\n")
    assert sweeps("--config-dir", str(tmp_path), "sweep=empty") == 2
    assert "nothing varies" in capsys.readouterr().err
    assert sweeps("--config-dir", str(tmp_path), "sweep=two", "seed=3,4", "trainer.max_epochs=1") == 0
    rows = sweeps.rows()
    assert [row["seed"] + " " + row["method.lr"] for row in rows] == ["3 0.1", "3 0.01", "4 0.1", "4 0.01"]
    assert [row["val/loss"] for row in rows] == ["0.1", "0.01"] * 2  # out of metrics.csv
    assert sweeps.folder.name.endswith("_two")
    saved = (sweeps.folder / rows[0]["folder"] / "overrides.txt").read_text().split()
    assert "sweep=two" in saved and "trainer.max_epochs=1" in saved and "seed=3" in saved


def test_random_search(sweeps):
    words = ["-m", "method.lr=tag(log,interval(1e-3,1))", "hydra/sweeper=random", "jobs=4"]
    assert sweeps(*words, "hydra.sweeper.n_trials=4") == 0
    assert len({row["method.lr"] for row in sweeps.rows()}) == 4
    assert sweeps(f"resume={sweeps.folder}", "hydra.sweeper.n_trials=6") == 0
    assert len(sweeps.rows()) == 6 and sweeps.starts() == [["fresh"]] * 6
    assert (sweeps.folder / "plots" / "history.png").is_file()


def test_optuna_goes_on_with_its_database(sweeps, capsys):
    optuna = pytest.importorskip("optuna")
    words = ["-m", "method.lr=tag(log,interval(1e-4,1))", "seed=0,1", "hydra/sweeper=optuna", "jobs=2",
             "optimized_metric=eval/error_after"]
    assert sweeps(*words, "hydra.sweeper.n_trials=7") == 0
    assert len(sweeps.rows()) == 7
    assert sweeps(f"resume={sweeps.folder}", "hydra.sweeper.n_trials=14") == 0
    assert len(sweeps.rows()) == 14 and sweeps.starts() == [["fresh"]] * 14
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{sweeps.folder / 'optuna.db'}")
    assert len(study.trials) == 14 and study.best_value == min(float(row["eval/error_after"]) for row in sweeps.rows())
    assert sweeps("-m", "method.fail_at=null,0", "hydra/sweeper=optuna", "optimized_metric=eval/error_after",
                  "hydra.sweeper.n_trials=4", "hydra.sweeper.seed=1", f"sweep_dir={sweeps.output / 'failing'}") == 1
    record = json.loads((sweeps.output / "failing" / "sweep.json").read_text())
    assert {job["status"] for job in record["jobs"]} == {"finished", "failed"} and len(record["jobs"]) == 4


def test_report_of_any_folder(sweeps, tmp_path, capsys):
    for place, rate in enumerate((1, 0.1, 0.01)):
        subprocess.run([*commands.PROGRAM, "method=toy", f"method.lr={rate}", f"hydra.run.dir={tmp_path / str(place)}"],
                       check=True)
    assert report.run([str(tmp_path), "--metric", "cost/queries", "--direction", "maximize"]) == 0
    assert report.run([str(tmp_path)]) == 0
    assert "eval/error_after, best (smallest) first" in capsys.readouterr().out
    assert (tmp_path / "results.csv").read_text().startswith("job,method.lr,seed,status,seconds,eval/error_before")
    assert report.run([str(tmp_path), "--metric", "eval/nothing"]) == 2
    assert report.run([str(tmp_path / "nowhere")]) == 2
    empty = {"overrides": [], "base": [], "roots": [], "kind": "grid", "jobs": []}
    (tmp_path / "sweep.json").write_text(json.dumps(empty))
    assert report.run([str(tmp_path)]) == 2
    assert "no job of this sweep has begun" in capsys.readouterr().err


def test_runs_of_a_sweep_are_one_group_in_wandb(tmp_path):
    for name, expected in (("alone", None), ("sweep", "sweep")):
        (tmp_path / name / "000").mkdir(parents=True)
        if expected:
            (tmp_path / name / "sweep.json").write_text("{}")
        logger = wandb_logger.WandbRun(project="test", folder=str(tmp_path))
        logger.attach_run(tmp_path / name / "000", config={})
        assert logger._wandb_init.get("group") == expected


def test_submitit_without_a_cluster(sweeps):
    pytest.importorskip("submitit")
    assert sweeps("-m", "seed=0,1", "hydra/launcher=submitit_local", "method.fail_at=null,0") == 1
    assert [row["status"] for row in sweeps.rows()] == ["finished", "failed"] * 2
    assert "the toy broke" in sweeps.rows()[1]["message"]


@pytest.mark.slow
def test_real_runs(tmp_path, monkeypatch):
    """The toy itself, in processes of its own."""
    toy = Runner(tmp_path / "outputs")
    assert toy("-m", "method.fail_at=0,null", "trainer.max_epochs=1", "jobs=2", f"sweep_dir={tmp_path / 'sweep'}") == 1
    record = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert [job["status"] for job in record["jobs"]] == ["failed", "finished"]
    assert record["jobs"][0]["message"].startswith("RuntimeError: the toy broke")


def test_reporting_needs_no_torch():
    code = "import src.sweeps.report, src.sweeps.launch, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
