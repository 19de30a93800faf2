"""Two processes give what one gives: past predictions, weights and figures, with a size that does not divide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.pskd.run import CONF

ROOT = Path(__file__).parents[3]
NETWORK = ["model=quarter_vit", "method.lr=0.02"]
pytestmark = pytest.mark.slow


def trained(folder: Path, *overrides: str, ends: int = 0) -> dict[str, Any]:
    """Checkpoint and figures of a run in a process of its own, as Lightning starts the others from it."""
    command = [sys.executable, "-m", "src.run", "--config-dir", str(CONF), "method=pskd", "experiment=quarters",
               "callbacks.checkpoint.monitor=null", f"output_dir={folder}", *NETWORK, *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == ends, done.stderr
    latest = folder / "latest"
    return {**torch.load(latest / "checkpoints" / "last.ckpt", weights_only=True),
            "figures": json.loads((latest / "metrics.json").read_text())}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trained(tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize("memory", ["table", "sharded", "memmap", "topk"])
def test_two_processes_equal_one(one: dict[str, Any], tmp_path: Path, memory: str) -> None:
    options = [f"method.loss.memory={memory}"] + (["method.loss.top=4"] if memory == "topk" else [])  # of 4 classes
    two = trained(tmp_path, "trainer.devices=2", "trainer.strategy=ddp", *options)
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][key], value, atol=1e-5, rtol=1e-4)
    ours, theirs = (item["classifier"]["loss"]["memory"] for item in (two, one))
    assert torch.equal(ours["written"], theirs["written"])  # no row lost, none older
    if "rows" in ours:
        torch.testing.assert_close(ours["rows"], theirs["rows"], atol=2e-3, rtol=0)
    for name, value in one["figures"].items():
        if name.startswith("test/"):
            assert two["figures"][name] == pytest.approx(value, rel=1e-3, abs=1e-6)
    assert two["figures"]["cost/samples"] == one["figures"]["cost/samples"] == 3 * 45


def test_snapshots_of_two_processes_are_one_and_survive_an_interruption(tmp_path: Path) -> None:
    """Ranks have running statistics of their own: the teacher takes those of a checkpoint."""
    options = ["trainer.devices=2", "trainer.strategy=ddp", "method.loss.memory=snapshot", "model=small_preact_resnet",
               "trainer.limit_val_batches=0"]
    whole = trained(tmp_path / "whole", *options)
    stop = "+callbacks.stop={_target_: tests.methods.pskd.run.StopOnce, epoch: 2}"
    part = trained(tmp_path / "parts", *options, stop, ends=143)
    assert part["global_step"] < whole["global_step"]
    parts = trained(tmp_path / "parts", *options, "resume=latest")
    assert parts["global_step"] == whole["global_step"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(parts["state_dict"][name], value), name


def test_averaged_weights_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    both = [trained(tmp_path / name, "method.ema_decay=0.9", *options) for name, options in {
        "one": [], "two": ["trainer.devices=2", "trainer.strategy=ddp"]}.items()]
    one, two = (item["state_dict"] for item in both)
    assert any(name.startswith("average.") for name in one) and one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=1e-4)
