"""The static check of conf/reward."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from src.rewards.check import check


def problems(**reward) -> list[str]:
    return check({"reward": {"_target_": "src.rewards.clip.ClipReward", "backend": "transformers", **reward}})


def test_whole_folder_and_other_rewards(clip_folder: Path) -> None:
    assert problems(path=str(clip_folder), batch_size=8) == check({}) == check({"reward": None}) == []
    assert check({"reward": {"_target_": "mine.Reward", "path": "nowhere"}}) == []


def test_all_problems_at_once(tmp_path: Path) -> None:
    told = problems(path=str(tmp_path), batch_size=0)
    assert len(told) == 2 and "reward.batch_size=0" in told[0] and "lacks config.json" in told[1]
    assert "model.clip_path" in problems(path=None)[0]


def test_open_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "weights.bin"
    weights.touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert problems(path=str(weights), backend="open_clip") == []
    assert "open_clip_config.json" in problems(path=str(tmp_path), backend="open_clip")[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "openclip" in problems(path=str(weights), backend="open_clip")[0]


def test_imports_nothing_heavy() -> None:
    code = ("import sys, src.rewards.check; "
            "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'open_clip')))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
