"""What a user may type, and what the answer is when it is wrong: one line each, exit code 2, nothing on disk."""

import os
import resource
import shutil
import subprocess
import sys

import pytest

from src.core.places import ROOT

WRONG = {
    "option": (["reward=clop"], "reward=clop: there is no such reward"),
    "method": (["method=tyo"], "method=tyo: there is no such method. Did you mean toy?"),
    "group": (["mehtod=toy"], "there is no key mehtod. Did you mean method?"),
    "empty group": (["experiment=nothing"], "there is no such experiment"),
    "key": (["method.widht=3"], "there is no key method.widht. Did you mean method.width?"),
    "leaf": (["lr=0.1"], "there is no key lr. Did you mean method.lr?"),
    "added key": (["+method.typo=1"], "method.typo=1: tests.core.toy.Toy has no argument typo"),
    "added to trainer": (["+trainer.max_epoch=1"], "Did you mean max_epochs?"),
    "added at the top": (["+mehtod.width=1"], "there is no key mehtod.width. Did you mean method?"),
    "added but there": (["+seed=1"], "seed exists. Write seed=1"),
    "key in a mapping": (["trainer={max_epoch: 1}"], "picks an option by its name. Write trainer.max_epoch=1"),
    "key in a mapping within": (["callbacks.checkpoint={every: 1}"], "there is no key callbacks.checkpoint.every."),
    "list for a mapping": (["callbacks.checkpoint=[1]"], "Write callbacks.checkpoint.every_n_epochs=... or"),
    "quotes in a mapping": (["callbacks.checkpoint={'mode': min}"], "none around its keys: 'key={name: value}'"),
    "colon for =": (["method.lr:1"], "Join a key and its value by =: key=value"),
    "infinite": (["method.lr=inf"], "method.lr=inf: must be a finite number"),
    "whole number with an exponent": (["method.width=1e3"], "must be a whole number (int). Write method.width=1000"),
    "value for a mapping": (["method.shape=5"], "mapping or null. Its keys are kind, size; write method.shape.size=3"),
    "value that is needed": (["data=imagefolder"], "data.root=???: needs a value. Add data.root=<the folder that"),
    "no devices": (["trainer.devices=0"], "trainer.devices=0: on a CPU it is the number of processes, 1 or more"),
    "too many processes": (["trainer.devices=9999"], "on a CPU this is the number of processes"),
    "too many processes by default": (["trainer=auto", "trainer.devices=9999"], "trainer.devices=9999: "),
    "no nodes": (["trainer.num_nodes=0"], "trainer.num_nodes=0: must be at least 1"),
    "steps": (["trainer.max_steps=-5"], "trainer.max_steps=-5: must be at least 1, or -1"),
    "precision": (["trainer.precision=foo"], "trainer.precision=foo: there is no such precision. Valid: 32-true, bf16"),
    "jobs": (["jobs=0"], "jobs=0: must be 1 or more. It is the number of jobs at a time"),
    "jobs in words": (["jobs=abc"], "jobs=abc: must be the number of jobs at a time, or auto"),
    "no prompts": (["mode=sample", "prompts=[]"], "prompts=[]: mode=sample needs prompts"),
    "type": (["method.lr=abc"], "method.lr=abc: must be a number (float)"),
    "whole number": (["method.width=2.5"], "method.width=2.5: must be a whole number (int)"),
    "truth for a number": (["method.width=true"], "method.width=true: must be a whole number"),
    "null": (["method.lr=null"], "method.lr=null: must be a number"),
    "literal": (["method.kind=palin"], "method.kind=palin: must be one of plain, fancy"),
    "list": (["method.layers=[1,a]"], "method.layers=[1, 'a']: must be a list of a whole number (int) or null"),
    "run level": (["seed=x"], "seed=x: must be a whole number"),
    "mode": (["mode=tran"], "mode=tran: there is no such mode. Did you mean train?"),
    "sample without prompts": (["mode=sample"], "mode=sample needs prompts"),
    "syntax": (["method.layers=[1"], "this is not a valid key=value"),
    "sweep without -m": (["seed=1,2"], "several values need a sweep"),
    "flag": (["--lr=1"], "there is no such flag"),
    "target": (["method._target_=os.system"], "must start with one of src."),
    "target's module": (["method._target_=tests.core.toys.Toy"], "there is no module tests.core.toys"),
    "target's name": (["method._target_=tests.core.toy.Toi"], "has no Toi"),
    "interpolation": (["name=${nothing}"], "nothing"),
    "checkpoint of a training": (["ckpt=latest"],
                                 "ckpt=latest: is for mode=eval, mode=protocol and mode=sample. To go"),
    "checkpoint": (["mode=eval", "ckpt=nowhere"], "ckpt=nowhere: there is no such file or run folder"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_clear_line(toy, capsys, name):
    overrides, expected = WRONG[name]
    assert toy(*overrides) == 2
    error = capsys.readouterr().err
    assert expected in error and "Traceback" not in error
    assert not toy.output.exists()


def test_all_problems_come_at_once(toy, capsys):
    assert toy("+method.typo=1", "method.lr=abc", "seed=x", "trainer.max_epochs=2.5") == 2
    error = capsys.readouterr().err
    assert "4 problems" in error
    assert all(text in error for text in ("typo", "method.lr=abc", "seed=x", "trainer.max_epochs=2.5"))
    assert toy("reward=clop", "method.widht=3", "mehtod=x", "lr=1") == 2
    assert "4 problems" in capsys.readouterr().err


def told(capsys) -> list[str]:
    """The problems, without their marks."""
    return [line.removeprefix("error: ").removeprefix("  - ") for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(("overrides", "start"), [
    (["mode=sample", 'prompts=["a, b"'], 'prompts=["a, b"'),
    (["reward=mix", "reward.parts={clip:1.0"], "reward.parts={clip:1.0"),
    (["method", "=", "toy", "method.width=3"], "method = toy: there must be no spaces around the =. Write method=toy"),
    (["method=", "toy"], "method = toy: there must be no spaces around the =. Write method=toy"),
    (["seed", "=3"], "seed = 3: there must be no spaces around the =. Write seed=3"),
    (["=5"], "=5: there is no key before the ="),
    (["~method"], "~method: method cannot be left out like this. Choose one: method=b2diffurl|"),
    (["method=null"], "method=null: method cannot be left out like this. Choose one: method=b2diffurl|"),
    (["~debug"], "~debug: debug cannot be left out like this. Write debug=null for none of it"),
    (["--seed=1"], "--seed=1: there is no such flag; settings are written key=value. Write seed=1, without dashes"),
    (["--seed", "1"], "--seed: there is no such flag; settings are written key=value. Write seed=1, without dashes"),
    (["--hlep"], "--hlep: there is no such flag; settings are written key=value. Did you mean --help?"),
    (["modle=tiny_sd"], "modle=tiny_sd: there is no key modle. Did you mean model?"),
    (["+trainer.extra=${method.width}"], "trainer.extra=4: lightning.pytorch.trainer.trainer.Trainer has no argument"),
    (["trainer.max_epochs=${method.width}", "method.width=1e3"], "method.width=1000.0: must be a whole number (int). "),
    (["method=b2diffurl", "trainer.max_epochs=0"], "trainer.max_epochs=0: the schedules run over method.stages"),
    (["method=b2diffurl", "trainer.precision=foo"], "trainer.precision=foo: there is no such precision"),
    (["method=b2diffurl", "method.lr=inf"], "method.lr=inf: must be a finite number"),
])
def test_one_fault_is_one_line_about_the_key_that_was_typed(toy, capsys, overrides, start):
    assert toy(*overrides) == 2
    (line,) = told(capsys)
    assert line.startswith(start)


@pytest.mark.parametrize(("words", "rule", "fix"), [
    (["run_dir=/a=b"], "this is not a valid key=value", "Quote text with such characters: \"run_dir='/a=b'\""),
    (["run_dir=/a,b"], "several values need a sweep", "Quote text with a comma: \"run_dir='/a,b'\""),
    (["run_dir=/a", "b", "c"], "the shell has cut this at its spaces", "Write 'run_dir=/a b c'"),
    (["run_dir=/path,", "with"], "the shell has cut this at its spaces", "Write \"run_dir='/path, with'\""),
    (["seed=1,2"], "several values need a sweep", "Add -m, or write a list: 'key=[a,b]'"),
    (["method.layers=[1"], "this is not a valid key=value", "A [ is not closed: add ]"),
    (["method.layers=[1]]"], "this is not a valid key=value", "One ] too many"),
    (['name="a'], "this is not a valid key=value", "Close the quotes"),
])
def test_what_the_shell_or_hydra_misreads_is_told_with_what_to_write(toy, capsys, words, rule, fix):
    assert toy(*words) == 2
    (line,) = told(capsys)
    assert rule in line and line.endswith(fix)


def test_folder_that_cannot_be_written(toy, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert toy(f"run_dir={tmp_path / 'file' / 'run'}") == 2
    assert "a run needs a folder" in capsys.readouterr().err
    assert toy("run_dir=/proc/run") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_folder_of_another_run_is_not_overwritten(toy, tmp_path, capsys):
    assert toy(f"run_dir={tmp_path / 'run'}", "method.fail_at=0") == 1
    assert toy(f"run_dir={tmp_path / 'run'}") == 2
    assert f"continue it with resume={tmp_path / 'run'}" in capsys.readouterr().err.lower()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_the_dashboard_without_a_terminal_is_one_sentence(tmp_path):
    for name in ("pyproject.toml", ".venv/.installed", "outputs/wandb/run"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    command = ["make", "--no-print-directory", "-f", ROOT / "Makefile", "dashboard"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # not below another make
    done = subprocess.run(command, cwd=tmp_path, text=True, check=False, stdin=subprocess.DEVNULL, capture_output=True,
                          env=alone)
    assert done.returncode == 2 and done.stdout.startswith("The dashboard needs a terminal;")
    assert len(done.stdout.splitlines()) == 1


def test_null_chooses_nothing(toy):
    assert toy("model=null", "debug=null", "logger=null", "trainer.max_epochs=1", "name=a b") == 0
    assert toy.folder.name.endswith("_toy_a-b")
    assert not (toy.folder / "metrics.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [(["--help"], 0, "method=b2diffurl"), (["--config-dir", "tests/core/conf", "method=tyo"], 2, "Did you mean toy?"),
     (["--config-dir", "tests/core/conf", "method=toy", "+method.typo=1", "method.lr=x"], 2, "2 problems")],
)
def test_answers_in_under_three_seconds_without_torch(arguments, code, expected):
    program = ("import sys; from src.run import run; code = run(sys.argv[1:]); "
               "bad = {'torch', 'lightning', 'diffusers', 'transformers', 'wandb'} & set(sys.modules); "
               "print(bad or 'light', file=sys.stderr); sys.exit(code)")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time, so that a busy machine fails no test; with nothing beside it, that is the time one waits
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
    assert done.returncode == code and expected in done.stdout + done.stderr
    assert done.stderr.endswith("light\n") and len(done.stdout.splitlines()) <= 30


def test_hydra_flags_still_work(toy):
    command = [sys.executable, "-m", "src.run", *toy.arguments("--cfg", "job", "--package", "method")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "_target_: tests.core.toy.Toy" in done.stdout
    command = [sys.executable, "-m", "src.run", *toy.arguments("--info", "defaults-tree")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "method: toy" in done.stdout
    assert not toy.output.exists()


def test_hydra_run_dir_names_the_folder(toy, tmp_path):
    assert toy(f"hydra.run.dir={tmp_path / 'here'}", "trainer.max_epochs=1") == 0
    assert (tmp_path / "here" / "metrics.json").is_file() and not toy.folders
