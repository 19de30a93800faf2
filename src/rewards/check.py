"""What can be said about a reward's options before anything is loaded. Imports nothing heavy."""

from __future__ import annotations

import importlib.util
from typing import Any

from src.models.location import (
    CLIP_FILES,
    CLIP_PATTERNS,
    OPEN_CLIP_FILES,
    OPEN_CLIP_PATTERNS,
    local_path,
    path_problem,
)


def check(cfg: dict[str, Any]) -> list[str]:
    """Every problem of `cfg["reward"]`, one message each: value, rule, fix."""
    reward = cfg.get("reward") or {}
    problems = []
    batch = reward.get("batch_size")
    if isinstance(batch, int) and batch < 1:
        problems.append(f"reward.batch_size={batch}: must be at least 1. Use 64, or less if memory is short.")
    if str(reward.get("_target_", "")).endswith(".ClipReward"):
        problems += _clip_problems(reward)
    return problems


def _clip_problems(reward: dict[str, Any]) -> list[str]:
    path, open_clip = reward.get("path"), reward.get("backend") == "open_clip"
    if not path:
        return ["reward.path is null: this model names no CLIP (model.clip_path). Give a folder or a hub id, "
                "or choose reward=clip_vit_l14."]
    if open_clip and importlib.util.find_spec("open_clip") is None:
        return ["reward.backend=open_clip needs the package open_clip_torch, which is not installed. "
                "Run: pip install -e '.[openclip]' (or use reward.backend=transformers)."]
    if not isinstance(path, str):
        return []  # the type check says so
    if open_clip and (file := local_path(path)) is not None and file.is_file():
        return []
    needed = (OPEN_CLIP_FILES, OPEN_CLIP_PATTERNS) if open_clip else (CLIP_FILES, CLIP_PATTERNS)
    problem = path_problem(path, needed[0], "reward.path", needed[1])
    return [problem] if problem else []
