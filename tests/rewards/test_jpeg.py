"""The JPEG rewards against files on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from src.rewards.base import Reward
from src.rewards.jpeg import JpegReward

PROMPTS = ["a", "b"]


@pytest.fixture
def images() -> torch.Tensor:
    """A noisy picture and a flat one."""
    noise = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    return torch.cat([noise, torch.full_like(noise, 0.4)])


def test_kilobytes_of_the_file_on_disk(images: torch.Tensor, tmp_path: Path) -> None:
    reward = JpegReward(want="large", name="large").load("cpu")
    levels = (images[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(tmp_path / "a.jpg", quality=95)
    scores = reward(images, PROMPTS)
    assert isinstance(reward, Reward) and scores.dtype == torch.float32 and scores.shape == (2,)
    assert scores[0].item() == pytest.approx((tmp_path / "a.jpg").stat().st_size / 1000)
    assert scores[0] > 3 * scores[1] > 0


def test_the_two_are_opposites(images: torch.Tensor) -> None:
    small, large = (JpegReward(want=want, name=want)(images, PROMPTS) for want in ("small", "large"))
    assert torch.equal(small, -large)


def test_quality(images: torch.Tensor) -> None:
    assert (JpegReward(want="large", name="x", quality=50)(images, PROMPTS)[0]
            < JpegReward(want="large", name="x")(images, PROMPTS)[0])
