"""Trap 10: a reward that fails ends the run with one clear message; its pictures are kept, and it trains nothing."""

from __future__ import annotations

import pytest
import torch

from src.methods.b2diffurl.module import B2DiffuRL
from tests.methods.b2diffurl.conftest import summary

SOUND = 3  # calls: the two splits of the evaluation before training, then the first stage's pictures
TOLD = {"raises": "raised RuntimeError: the scoring service is down", "not_finite": "returned nan for 1 of 6 pictures",
        "short": "returned a tensor of shape (5,) for 6 pictures"}


@pytest.mark.parametrize("failure", TOLD)
def test_a_reward_that_fails_in_a_stage_ends_the_run(runner, monkeypatch, capsys, failure: str) -> None:
    trained = []
    step = B2DiffuRL.training_step
    monkeypatch.setattr(B2DiffuRL, "training_step", lambda module, *args: (trained.append(module.current_epoch),
                                                                           step(module, *args))[1])
    assert runner("reward=failing", f"reward.failure={failure}", f"reward.sound={SOUND}") == 1
    folder, told = runner.folder, capsys.readouterr().err
    assert TOLD[failure] in told and "failed_reward" in told and "Traceback" not in told
    assert summary(folder)["status"] == "failed" and set(trained) == {0}
    kept = sorted((folder / "failed_reward").glob("*.png"))
    assert len(kept) == (1 if failure == "not_finite" else 6)
    assert kept[0].with_suffix(".txt").read_text().splitlines()[0] in ("a red cat", "a dog", "a red dog")
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["b2diffurl"]["queries"] == 6 and len(stored["b2diffurl"]["history"]["rewards"]) == 1
    if failure == "not_finite":  # once the reward is mended the run goes on from there
        assert runner(f"resume={folder}", "reward.sound=99") == 0
        assert summary(folder)["cost/reward_queries"] == 18 and summary(folder)["status"] == "finished"


def test_a_reward_that_fails_before_training_leaves_its_pictures(runner, capsys) -> None:
    assert runner("reward=failing", "reward.failure=raises", f"run_dir={runner.output / 'failed'}") == 1
    assert "the scoring service is down" in capsys.readouterr().err
    assert (runner.output / "failed" / "failed_reward" / "000.png").is_file()
    assert not (runner.output / "failed" / "checkpoints").exists()
