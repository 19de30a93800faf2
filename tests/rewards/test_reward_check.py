"""The static check of conf/reward."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from src.rewards.check import check

CONF = Path(__file__).parents[2] / "conf" / "reward"


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


def of(name: str, **options) -> list[str]:
    """Problems of conf/reward/<name>.yaml with some options replaced."""
    import yaml

    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return check({"reward": {**node, **options}})


@pytest.mark.parametrize(("name", "options", "told"), [
    ("jpeg_compressibility", {"quality": 0}, "reward.quality=0: must be at least 1 and at most 95"),
    ("jpeg_compressibility", {"quality": 96}, "at most 95"),
    ("callable", {}, "reward.target=null"),
    ("callable", {"target": "src.rewards.jpeg.JpegRewad"}, "Did you mean JpegReward?"),
    ("callable", {"target": "src.rewards.jpeg.JpegReward", "device": "gpu"}, "reward.device=gpu: is not a device"),
    ("http", {"url": "localhost:80"}, "reward.url=localhost:80: is not an address"),
    ("http", {"url": "http://host:port"}, "is not an address"),
    ("http", {"timeout": 0}, "reward.timeout=0: must be at least"),
    ("http", {"retries": -1}, "reward.retries=-1"),
    ("mix", {}, "reward.parts=null: names rewards and their weights"),
    ("mix", {"parts": {"clp": 1.0}}, "reward.parts.clp: there is no such reward. Did you mean clip?"),
    ("mix", {"parts": {"clip": "much"}}, "reward.parts.clip=much: must be a number"),
    ("mix", {"parts": {"clip": {"mean": 1}}}, "reward.parts.clip.weight: is missing"),
    ("mix", {"parts": {"clip": {"weight": 1, "std": 0}}}, "reward.parts.clip.std=0: must be above 0"),
    ("mix", {"parts": {"mix": 1}}, "there is no such reward"),
    ("mix", {"parts": {"a/b": {"weight": 1, "target": "m.f"}}}, "reward.parts.a/b: is part of figures' names"),
    ("mix", {"parts": {"red": {"weight": 1, "target": "m.f"}},
             "rewards": {"red": {"_target_": "src.rewards.callable.CallableReward", "target": "no_such_module.f"}}},
     "reward.parts.red.target=no_such_module.f: there is no module"),
    ("mix", {"parts": {"hps": 1}, "rewards": {"hps": {"_target_": "src.rewards.hps.HpsReward", "path": "no where"}}},
     "reward.parts.hps.path=no where: there is no such folder"),
    ("pick_score", {"path": "no where"}, "reward.path=no where"),
    ("pick_score", {"processor": "no where"}, "reward.processor=no where"),
    ("aesthetic", {"head": "no where"}, "reward.head=no where"),
    ("image_reward", {"tokenizer": "no where"}, "reward.tokenizer=no where"),
    ("bertscore", {"captioner": "no where"}, "reward.captioner=no where"),
    ("bertscore", {"reference": "a picture"}, "write {prompt} into it"),
    ("bertscore", {"baseline": 1.0}, "reward.baseline=1.0"),
    ("bertscore", {"layer": -1}, "reward.layer=-1"),
])
def test_one_line_for_each_mistake(name: str, options: dict, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lines = [line.replace("Write {", "write {") for line in of(name, **options)]
    assert any(told in line for line in lines), lines


def test_what_is_right_passes(tmp_path: Path) -> None:
    assert of("jpeg_incompressibility") == of("http") == of("callable", target="torch.mean") == []
    assert of("mix", parts={"clip": 1, "aesthetic": {"weight": -0.5, "mean": 5, "std": 0.6, "batch_size": 8}}) == []
    file = tmp_path / "weights.pt"
    file.touch()
    assert of("hps", path=str(file)) == []


def test_offline_says_how_to_fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    told = "\n".join(of("image_reward"))
    assert 'hf download THUDM/ImageReward --local-dir ImageReward --include "ImageReward.pt"' in told
    assert "give reward.path=<folder>/ImageReward" in told and "google-bert/bert-base-uncased" in told


def test_scorers_are_looked_at_too(tmp_path: Path) -> None:
    node = {"_target_": "src.rewards.clip.ClipReward", "backend": "transformers", "path": str(tmp_path)}
    told = check({"reward": None, "scorers": {"second": node, "none": None}})
    assert len(told) == 1 and told[0].startswith("scorers.second.path=")
    assert len(check({"reward": node, "scorers": {"same": node}})) == 1


@pytest.mark.parametrize("method", ["b2diffurl.module.B2DiffuRL", "pskd.module.Classifier"])
def test_a_reward_that_nobody_asks_needs_no_weights(method: str, tmp_path: Path) -> None:
    node = {"_target_": "src.rewards.clip.ClipReward", "backend": "transformers", "path": str(tmp_path)}
    told = check({"method": {"_target_": f"src.methods.{method}"}, "reward": node, "scorers": {"same": node}})
    assert bool(told) == method.startswith("b2")


def test_a_network_that_classifies_names_no_clip_and_that_is_not_the_trouble() -> None:
    run = {"method": {"_target_": "src.methods.b2diffurl.module.B2DiffuRL"},
           "reward": {"_target_": "src.rewards.clip.ClipReward", "backend": "transformers", "path": None}}
    assert "names no CLIP" in check(run)[0]
    assert check({**run, "model": {"_target_": "src.models.classifiers.network.Network"}}) == []


VERIFIER = {"_target_": "src.rewards.verifier.VerifierReward", "name": "verifier"}
HTTP = {"_target_": "src.rewards.http.HttpReward", "url": "http://here:80", "name": "other"}


@pytest.mark.parametrize(("name", "told"), [
    ("verifier", "reward.name=verifier: scorers.verifier has a figure verifier too"),
    ("all_right", "has a figure all_right too"), ("verifier_relation", "has a figure verifier_relation too"),
    ("other", "scorers.other has a figure other too"),
    ("my/score", "reward.name=my/score: is part of figures' names"), ("my score", "only letters"), ("", "only letters"),
])
def test_a_name_that_is_another_figures_or_no_word(name: str, told: str) -> None:
    scorers = {"verifier": VERIFIER, "other": HTTP}
    lines = check({"reward": {**HTTP, "url": "http://there:80", "name": name}, "scorers": scorers})
    assert len(lines) == 1 and told in lines[0]


def test_the_reward_may_be_one_of_the_scorers() -> None:
    assert check({"reward": {**HTTP, "batch_size": 8}, "scorers": {"other": HTTP, "verifier": VERIFIER}}) == []
    assert check({"reward": {**VERIFIER, "name": "mine"}, "scorers": {"verifier": VERIFIER}}) == []  # one all_right


def test_parts_of_a_mix_are_figures_too() -> None:
    mix = {"_target_": "src.rewards.mix.MixReward", "name": "verifier", "parts": {"clip": 1.0}}
    lines = check({"reward": mix, "scorers": {"it": {**HTTP, "name": "verifier_clip"}}})
    assert len(lines) == 1 and "has a figure verifier_clip too" in lines[0]
