"""Scores that are safe to train on: a reward that fails is told with its prompts and pictures, and never trains."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.core.errors import FAILED_RUN, UserError
from src.core.processes import ranks
from src.rewards.base import Reward, unlike_scores

KEPT = 16  # pictures saved at most


def checked_scores(reward: Reward, images: Tensor, prompts: Sequence[str], folder: Path) -> Tensor:
    """`reward(images, prompts)` as float32 [B], on the pictures' device.

    Raises UserError if the reward raises, gives anything but one number per picture, or a number that is not finite;
    the pictures and prompts concerned are then in `folder`/failed_reward. A reward's own UserError passes.
    """
    return _checked(_asked(reward, reward, images, prompts, folder), reward, images, prompts, folder)


def checked_details(reward: Reward, images: Tensor, prompts: Sequence[str], folder: Path) -> dict[str, Tensor]:
    """The same for all that a reward can say of pictures: its scores under its name, and the parts that it names in
    `details`, if it has such a function; [B] each. Raises as `checked_scores` does."""
    details = getattr(reward, "details", None)
    if details is None:
        return {reward.name: checked_scores(reward, images, prompts, folder)}
    found = _asked(details, reward, images, prompts, folder)
    return {name: _checked(scores, reward, images, prompts, folder) for name, scores in found.items()}


def _asked(function: Callable[..., Any], reward: Reward, images: Tensor, prompts: Sequence[str], folder: Path) -> Any:
    try:
        return function(images, list(prompts))
    except UserError:
        raise  # it says itself what to do: a scorer that is gone, say
    except Exception as error:
        problem = f"raised {type(error).__name__}: {error} ({_place(error)})"
        raise _failure(reward, images, prompts, folder, problem, range(len(images)), _advice(error)) from error


def _place(error: Exception) -> str:
    """Where it was raised: the file and line of the innermost function."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def _checked(scores: Any, reward: Reward, images: Tensor, prompts: Sequence[str], folder: Path) -> Tensor:
    """`scores` if they are one finite number a picture."""
    if unlike := unlike_scores(scores, len(images)):
        fix = f"return one float per picture: a tensor of shape ({len(images)},)"
        raise _failure(reward, images, prompts, folder, f"returned {unlike}", range(len(images)), fix)
    scores = scores.detach().float().to(images.device)
    if bad := (~scores.isfinite()).nonzero().flatten().tolist():
        share = f"{len(bad)} of {len(images)} pictures, first {prompts[bad[0]]!r}"
        problem = f"returned {scores[bad[0]].item()} for {share}"
        fix = "look at these pictures; a score must be a finite number"
        raise _failure(reward, images, prompts, folder, problem, bad, fix)
    return scores


def _advice(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "lower reward.batch_size"
    return "mend the reward, or take another one (reward=...)"


def _failure(reward: Reward, images: Tensor, prompts: Sequence[str], folder: Path, problem: str, rows: Sequence[int],
             fix: str) -> UserError:
    name = getattr(reward, "name", type(reward).__name__)
    kept = _keep(images, prompts, folder / ranks.named("failed_reward"), problem, list(rows)[:KEPT])
    return UserError(f"reward {name} {problem}", f"pictures and prompts are in {kept}, and nothing was trained on them",
                     fix, exit_code=FAILED_RUN)


def _keep(images: Tensor, prompts: Sequence[str], folder: Path, problem: str, rows: Sequence[int]) -> Path:
    """Saves NNN.png and NNN.txt (prompt, then problem) for each row; returns the folder."""
    from torchvision.utils import save_image

    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        save_image(images[row].detach().float().nan_to_num().cpu(), folder / f"{row:03d}.png")
        (folder / f"{row:03d}.txt").write_text(f"{prompts[row]}\n{problem}\n", encoding="utf-8")
    return folder
