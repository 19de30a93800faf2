"""A reward that fails is told with its prompts and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from src.core.errors import UserError
from src.rewards.guard import checked_scores

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
PROMPTS = ["a red circle", "a dog/on: a roof", "ein grüner Baum"]


class Scripted:
    """Gives what it was told to give."""

    name = "scripted"

    def __init__(self, answer) -> None:
        self.answer = answer

    def load(self, device) -> Scripted:
        return self

    def __call__(self, images: Tensor, prompts: list[str]) -> Tensor:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def identity(self) -> str:
        return self.name


def failure(answer, folder: Path) -> str:
    with pytest.raises(UserError) as told:
        checked_scores(Scripted(answer), IMAGES, PROMPTS, folder)
    assert str(folder / "failed_reward") in str(told.value) and "scripted" in str(told.value)
    return str(told.value)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "failed_reward").iterdir())


def test_good_scores_pass_as_float32(tmp_path: Path) -> None:
    scores = checked_scores(Scripted(torch.tensor([1, 2, 3], dtype=torch.float64)), IMAGES, PROMPTS, tmp_path)
    assert scores.dtype == torch.float32 and scores.tolist() == [1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_a_reward_that_raises(tmp_path: Path) -> None:
    assert "raised ValueError: no such word" in failure(ValueError("no such word"), tmp_path)
    assert len(kept(tmp_path)) == 6


def test_out_of_memory_names_the_knob(tmp_path: Path) -> None:
    assert "Lower reward.batch_size" in failure(torch.OutOfMemoryError("CUDA out of memory"), tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite(tmp_path: Path, value: float) -> None:
    message = failure(torch.tensor([0.1, value, 0.2]), tmp_path)
    assert str(value) in message and PROMPTS[1] in message
    assert kept(tmp_path) == ["001.png", "001.txt"]
    assert (tmp_path / "failed_reward" / "001.txt").read_text(encoding="utf-8").startswith(PROMPTS[1] + "\n")
    picture = Image.open(tmp_path / "failed_reward" / "001.png")
    assert picture.size == (8, 8)
    assert abs(picture.getpixel((0, 0))[0] / 255 - IMAGES[1, 0, 0, 0]) < 0.01


@pytest.mark.parametrize("answer", [torch.zeros(2), torch.zeros(3, 1), torch.tensor(0.5), 0.5, None, [0.1, 0.2, 0.3],
                                    torch.zeros(3, dtype=torch.complex64)])
def test_not_one_number_per_picture(tmp_path: Path, answer) -> None:
    message = failure(answer, tmp_path)
    assert "for 3 pictures" in message and "(3,)" in message
    assert len(kept(tmp_path)) == 6


def test_not_every_picture_of_a_large_batch_is_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        checked_scores(Scripted(torch.zeros(1)), IMAGES.repeat(20, 1, 1, 1), PROMPTS * 20, tmp_path)
    assert len(kept(tmp_path)) == 32


def test_no_gradient_flows_back_into_a_reward(tmp_path: Path) -> None:
    scores = torch.ones(3, dtype=torch.float64, requires_grad=True)
    found = checked_scores(Scripted(2 * scores), IMAGES, PROMPTS, tmp_path)
    assert found.tolist() == [2.0, 2.0, 2.0] and found.dtype == torch.float32 and not found.requires_grad
