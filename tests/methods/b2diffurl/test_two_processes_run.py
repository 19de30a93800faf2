"""The command line with two processes: a reward that fails on one of them, and the run that goes on from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.methods.b2diffurl.conftest import CONF, Runner, summary
from tests.processes import ROOT

pytestmark = pytest.mark.slow


def by_two(sd: Path, output: Path, *overrides: str) -> tuple[int, str]:
    """Exit code and what was said by a run of two processes, as Lightning starts them."""
    command = [sys.executable, "-m", "src.run", "--config-dir", str(CONF), "experiment=standin", f"model.path={sd}",
               f"output_dir={output}", "trainer.devices=2", *overrides]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stderr


def stored(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_reward_that_fails_on_a_rank_and_the_run_that_goes_on(sd_folder: Path, tmp_path: Path) -> None:
    """... ends as one process does that never failed."""
    run = tmp_path / "two" / "run"
    # Each rank scores one batch of the evaluation before training, then one a stage.
    code, told = by_two(sd_folder, tmp_path / "two", f"run_dir={run}", "reward=failing", "reward.failure=not_finite",
                        "reward.sound=2", "method.prompts_per_stage=4")
    assert code == 1 and told.count("returned nan for 1 of 4 pictures") == 1 and "Traceback" not in told, told
    assert list((run / "failed_reward").glob("*.png")) and list((run / "failed_reward_rank1").glob("*.png"))
    assert summary(run)["status"] == "failed" and stored(run)["b2diffurl"]["queries"] == 8

    code, told = by_two(sd_folder, tmp_path / "two", f"resume={run}", "reward.sound=99")
    assert code == 0, told
    one = Runner(sd_folder, tmp_path / "one")
    assert one("reward=failing", "reward.failure=not_finite", "reward.sound=99", "method.prompts_per_stage=4") == 0
    equal_ends(run, one.folder)


def equal_ends(run: Path, other: Path) -> None:
    """Figures, history and optimiser of two finished runs, up to rounding."""
    ours, theirs = summary(run), summary(other)
    for name in theirs:
        if name.startswith(("eval/", "heldout/", "diversity/", "cost/reward")):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-2, abs=1e-4), name
    ours, theirs = stored(run), stored(other)
    for name in ("prompts", "rewards"):
        found, expected = (torch.tensor(item["b2diffurl"]["history"][name]) for item in (ours, theirs))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    moments = [torch.cat([state["exp_avg"].flatten() for state in item["optimizer_states"][0]["state"].values()])
               for item in (ours, theirs)]
    assert (moments[0] - moments[1]).norm() < 2e-2 * moments[1].norm() > 0


def test_shared_weights_are_kept_whole_and_go_on_shared_or_on_one_device(sd_folder: Path, tmp_path: Path) -> None:
    full = ["model.lora_rank=0", "method.lr=1e-5", "method.replay=always", "method.prompts_per_stage=4",
            "reward=failing", "reward.failure=not_finite"]
    run, copy = tmp_path / "two" / "run", tmp_path / "copy" / "run"
    code, told = by_two(sd_folder, tmp_path / "two", f"run_dir={run}", "trainer=fsdp", "trainer.accelerator=cpu", *full,
                        "reward.sound=2")
    assert code == 1 and stored(run)["b2diffurl"]["queries"] == 8, told
    shutil.copytree(run, copy)
    code, told = by_two(sd_folder, tmp_path / "two", f"resume={run}", "reward.sound=99")
    assert code == 0, told
    alone = [f"resume={copy}", "trainer=cpu", "trainer.devices=1", "reward.sound=99"]
    assert Runner(sd_folder, tmp_path / "copy")(*alone) == 0
    one = Runner(sd_folder, tmp_path / "one")
    assert one(*full, "reward.sound=99") == 0
    for ended in (run, copy):
        equal_ends(ended, one.folder)
        unet = load_file(ended / "export" / "unet" / "diffusion_pytorch_model.safetensors")
        assert all(torch.equal(unet[name], tensor) for name, tensor in stored(ended)["state_dict"].items())
