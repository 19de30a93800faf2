"""Every method, combination and phase through the run that the README names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from src.methods.pskd.memory.base import Memory
from tests.methods.pskd.run import Runner

METHODS = ("pskd", "crossentropy", "label_smoothing", "crossentropy_scaled", "cskd", "tfkd")
FIGURES = ("top1_err", "nll", "brier", "ece", "ece15", "aurc", "eaurc")


@pytest.mark.draws
@pytest.mark.parametrize("method", METHODS)
def test_a_method_runs_through_every_phase(runner: Runner, method: str) -> None:
    assert runner(f"method={method}") == 0
    figures = runner.figures
    assert figures["status"] == "finished"
    assert {f"{group}/{name}" for group in ("test", "best") for name in FIGURES} <= set(figures)
    errors = [float(row["val/top1_err"]) for row in runner.rows() if row.get("val/top1_err")]
    assert len(errors) == 3 and figures["best/epoch"] == errors.index(min(errors)) + 1
    assert figures["cost/samples"] == 3 * 45
    for file in ("plots/reliability.png", "plots/risk_coverage.png", "plots/loss.png", "samples/hardest.png"):
        assert min(Image.open(runner.folder / file).size) > 100
    assert (runner.folder / "export" / "config.json").is_file()
    with np.load(runner.folder / "samples" / "test.npz") as stored:
        assert stored["logits"].shape == (21, 4) and "path" not in stored
        assert (stored["logits"].argmax(1) == stored["predicted"]).all()


@pytest.mark.parametrize("options", [
    ["method.mixing=cutmix"], ["method.loss.smoothing=0.1"],
    pytest.param(["method.mixing=mixup"], marks=pytest.mark.slow),
    pytest.param(["method.mixing=cutmix", "method.loss.memory=snapshot"], marks=pytest.mark.slow),
    ["method.mixing=mixup", "method.loss.memory=topk", "method.loss.top=2"],
    ["method.ema_decay=0.9", "method.optimizer=adamw", "method.lr=1e-3"], ["trainer.precision=bf16-mixed"],
    ["method.lr_schedule=cosine", "method.warmup_epochs=1"],
    ["method.loss.memory=memmap"], ["method.loss.memory=sharded"], ["data.val=false"],
], ids=" ".join)
def test_what_pskd_combines_with(runner: Runner, options: list[str]) -> None:
    assert runner("method=pskd", *options) == 0
    assert runner.figures["status"] == "finished"
    assert ("best/nll" in runner.figures) == ("data.val=false" not in options)


def test_it_learns(runner: Runner) -> None:
    assert runner("method=pskd", "method.epochs=25", "model.options.widths=[8,16]") == 0
    assert runner.figures["test/top1_err"] < 30  # 75 by chance


def test_any_network_of_timm(runner: Runner) -> None:
    assert runner("method=pskd", "model=timm", "model.name=test_resnet", "model.options=null", "method.epochs=1") == 0


def test_averaged_weights_are_evaluated_and_exported(runner: Runner) -> None:
    assert runner("method=pskd", "method.ema_decay=0.9", "method.epochs=2") == 0
    own = runner.outcome()
    averaged = {key.removeprefix("average.module."): value for key, value in own["weights"].items()
                if key.startswith("average.module.")}
    assert averaged == own["export"]
    assert any(own["weights"][f"network.{key}"] != value for key, value in averaged.items())


@pytest.mark.parametrize("options", [[], ["method.ema_decay=0.9"]], ids=["plain", "averaged"])
def test_evaluation_of_a_checkpoint_gives_the_runs_figures(runner: Runner, options: list[str]) -> None:
    assert runner("method=pskd", *options) == 0
    folder, trained = runner.folder, runner.figures
    for file, group in (("last.ckpt", "test"), ("best.ckpt", "best")):
        assert runner("mode=eval", f"ckpt={folder}/checkpoints/{file}", f"run_dir={folder.parent}/{group}") == 0
        found = json.loads((folder.parent / group / "metrics.json").read_text())
        for name in FIGURES:
            assert found[f"test/{name}"] == trained[f"{group}/{name}"]
    assert runner.folder == folder  # `latest` is a training run


def test_evaluation_needs_neither_past_predictions_nor_a_teacher(runner: Runner) -> None:
    assert runner("method=pskd", "method.loss.memory=memmap", "method.epochs=1") == 0
    folder = runner.folder
    assert (folder / "memory").is_dir()
    assert runner("mode=eval", f"ckpt={folder}", f"run_dir={folder.parent}/again") == 0
    assert not (folder.parent / "again" / "memory").exists()
    assert runner("method=tfkd", f"method.loss.teacher={folder}", "method.epochs=1") == 0
    taught = runner.folder
    shutil.rmtree(folder)
    assert runner("mode=eval", f"ckpt={taught}", f"run_dir={folder.parent}/taught") == 0


def test_evaluation_never_touches_the_past_predictions(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    write = Memory.mark

    def noted(memory: Memory, *rest) -> None:
        calls.append(torch.is_grad_enabled())
        write(memory, *rest)

    monkeypatch.setattr(Memory, "mark", noted)
    assert runner("method=pskd", "trainer.num_sanity_val_steps=2") == 0
    assert len(calls) == 3 * 4  # epochs x batches
    assert all(calls)


@pytest.mark.slow
def test_compiled_code_is_not_rebuilt_each_epoch(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.utils import counters

    compiled = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda net, **how: compiled(net, **how | {"backend": "eager"}))
    counts = []
    for epochs in (2, 4):
        torch._dynamo.reset()
        counters.clear()
        assert runner("method=pskd", "method.compile=true", f"method.epochs={epochs}", "data.val=false") == 0
        counts.append(counters["stats"]["unique_graphs"])
    assert counts[0] == counts[1] > 0


@pytest.mark.slow
def test_compiled_equals_plain(runner: Runner) -> None:
    assert runner("method=pskd") == 0
    plain = runner.figures
    assert runner("method=pskd", "method.compile=true") == 0
    assert runner.figures["test/nll"] == pytest.approx(plain["test/nll"], rel=1e-2)


@pytest.mark.slow  # test_export.py loads an export elsewhere too
def test_the_export_loads_without_this_project(runner: Runner) -> None:
    assert runner("method=pskd", "method.epochs=1") == 0
    script = ("import sys; sys.path.insert(0, '.'); import preact_resnet, timm, torch; "
              "net = timm.create_model('local-dir:.', pretrained=True).eval(); "
              "print(net(torch.zeros(2, 3, 8, 8)).shape)")
    done = subprocess.run([sys.executable, "-c", script], cwd=runner.folder / "export", capture_output=True, text=True,
                          check=False)
    assert "torch.Size([2, 4])" in done.stdout, done.stderr
