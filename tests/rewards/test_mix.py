"""Weighted sums of rewards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.core.build import build
from src.core.config.compose import compose, plain
from src.core.errors import UserError
from src.rewards.base import Reward
from src.rewards.check import check
from src.rewards.guard import checked_details, checked_scores
from src.rewards.mix import MixReward

IMAGES, PROMPTS = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)), ["a", "b", "c"]


class Fixed:
    """Gives the same scores always."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.name, self.device = torch.tensor(scores), "fixed", None

    def load(self, device) -> Fixed:
        self.device = device
        return self

    def __call__(self, images: Tensor, prompts: list[str]) -> Tensor:
        return self.scores

    def identity(self) -> str:
        return self.name


def test_weights_means_and_deviations(tmp_path: Path) -> None:
    parts = {"one": 2.0, "two": {"weight": -1, "mean": 10, "std": 5, "batch_size": 8}}
    mix = MixReward(parts=parts, rewards={"one": Fixed(1, 2, 3), "two": Fixed(10, 15, 0)}).load("cpu")
    assert isinstance(mix, Reward) and mix.rewards["one"].device == "cpu"
    assert mix(IMAGES, PROMPTS).tolist() == [2, 3, 8]
    details = mix.details(IMAGES, PROMPTS)
    assert {name: value.tolist() for name, value in details.items()} == {
        "mix": [2, 3, 8], "mix_one": [1, 2, 3], "mix_two": [10, 15, 0]}
    assert mix.identity() == "mix (2 x fixed + -1 (mean 10, std 5) x fixed)"
    checked = checked_details(mix, IMAGES, PROMPTS, tmp_path)
    assert checked.keys() == details.keys() and checked["mix"].tolist() == [2, 3, 8]
    assert checked_details(Fixed(4, 5, 6), IMAGES, PROMPTS, tmp_path)["fixed"].tolist() == [4, 5, 6]


def test_the_parts_go_to_the_mixs_own_device_where_it_has_one() -> None:
    mix = MixReward(parts={"one": 1.0}, rewards={"one": Fixed(1, 2, 3)}, device="meta").load("cpu")
    assert mix.rewards["one"].device == "meta"


@pytest.mark.parametrize(("scores", "told"), [((1.0, float("nan"), 2.0), "two gave a score that is not finite"),
                                              ((1.0, 2.0), r"two gave a tensor of shape \(2,\) for 3 pictures")])
def test_the_part_that_fails_is_named(scores, told: str, tmp_path: Path) -> None:
    mix = MixReward(parts={"one": 1.0, "two": 1.0}, rewards={"one": Fixed(1, 2, 3), "two": Fixed(*scores)})
    with pytest.raises(UserError, match=told):
        checked_scores(mix, IMAGES, PROMPTS, tmp_path)
    with pytest.raises(UserError, match=told):
        checked_details(mix, IMAGES, PROMPTS, tmp_path)


def test_without_parts() -> None:
    with pytest.raises(UserError, match=r"reward\.parts=None"):
        MixReward(parts=None, rewards={})


def composed(*overrides: str) -> dict:
    found = compose(["reward=mix", *overrides])
    assert found.problems == []
    return plain(found.cfg)


def test_from_the_command_line() -> None:
    cfg = composed("reward.parts={jpeg_compressibility:0.5,jpeg_incompressibility:{weight:1,quality:50}}")
    assert cfg["method"]["reward"] == cfg["reward"]
    assert cfg["reward"]["rewards"]["jpeg_incompressibility"] == {
        "_target_": "src.rewards.jpeg.JpegReward", "name": "jpeg_incompressibility", "want": "large", "quality": 50}
    mix = build(cfg["reward"]).load("cpu")
    details = mix.details(IMAGES, PROMPTS)
    expected = 0.5 * details["mix_jpeg_compressibility"] + details["mix_jpeg_incompressibility"]
    torch.testing.assert_close(details["mix"], expected)


def red(images: Tensor, prompts: list[str]) -> Tensor:
    return images[:, 0].mean((1, 2))


def blue(images: Tensor, prompts: list[str], strength: float = 1.0) -> Tensor:
    return strength * images[:, 2].mean((1, 2))


def test_functions_of_ones_own_under_any_names() -> None:
    blue = "{weight:2,target:tests.rewards.test_mix.blue,options:{strength:3}}"
    cfg = composed(f"reward.parts={{red:{{weight:1,target:tests.rewards.test_mix.red}},blue:{blue}}}")
    assert check(cfg) == []
    details = build(cfg["reward"]).load("cpu").details(IMAGES, PROMPTS)
    torch.testing.assert_close(details["mix"], details["mix_red"] + 2 * details["mix_blue"])
    torch.testing.assert_close(details["mix_blue"], 3 * IMAGES[:, 2].mean((1, 2)))


def test_rewards_of_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "crimson.yaml").write_text(
        "defaults: [callable, _self_]\ntarget: tests.rewards.test_mix.red\nname: crimson\n")
    found = compose(["reward=mix", "reward.parts={crimson:1,jpeg_compressibility:0.5}"], [tmp_path])
    cfg = plain(found.cfg)
    assert found.problems == check(cfg) == []
    assert build(cfg["reward"]).rewards["crimson"].identity() == "crimson (tests.rewards.test_mix.red)"


def test_a_part_sees_the_rest_of_the_configuration() -> None:
    cfg = composed("reward.parts={clip:1.0}", "model.clip_path=elsewhere")
    assert cfg["reward"]["rewards"]["clip"]["path"] == "elsewhere"
    assert composed("reward.parts={no_such:1}")["reward"]["rewards"] == {}
