"""The static check of conf/model: all problems, before anything is loaded."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

import pytest

from src.models.check import check


def problems(**model) -> list[str]:
    return check({"model": {"_target_": "src.models.diffusion.DiffusionModel", "name": "x", **model}})


def test_a_whole_folder_is_fine(sd_folder: Path) -> None:
    assert problems(path=str(sd_folder), lora_rank=4, vae_batch=8, steps=None, lora_alpha=None) == []


def test_other_kinds_of_model_are_left_alone() -> None:
    assert check({"model": {"_target_": "timm.create_model"}}) == check({}) == []


def test_all_problems_at_once(tmp_path: Path) -> None:
    told = problems(path=str(tmp_path / "nowhere"), lora_rank=-1, vae_batch=0, lora_alpha=0.0, steps=0)
    assert len(told) == 5
    for key in ("path", "lora_rank", "vae_batch", "lora_alpha", "steps"):
        assert any(f"model.{key}=" in message for message in told)


def test_folder_without_weights(sd_folder: Path, tmp_path: Path) -> None:
    assert "model_index.json" in problems(path=str(tmp_path))[0]
    half = shutil.copytree(sd_folder, tmp_path / "half")
    (half / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert problems(path=str(half)) == [
        f"model.path={half}: the folder lacks vae/diffusion_pytorch_model.safetensors. "
        "Give a folder with all of the model's files (after `git lfs pull` if it is a clone)."]
    (half / "vae" / "diffusion_pytorch_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid")
    assert "git lfs pull" in problems(path=str(half))[0]


def test_another_pipeline(sd_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(sd_folder, tmp_path / "other")
    index = other / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "FluxPipeline"))
    assert "FluxPipeline" in problems(path=str(other))[0]
    index.write_text("not json")
    assert "model_index.json" in problems(path=str(other))[0]


@pytest.mark.parametrize(("name", "words"), [("StableDiffusionXLPipeline", "two text encoders"),
                                             ("StableDiffusionInpaintPipeline", "a mask")])
def test_relatives_are_told_apart(sd_folder: Path, tmp_path: Path, name: str, words: str) -> None:
    other = shutil.copytree(sd_folder, tmp_path / "other")
    index = other / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", name))
    (told,) = problems(path=str(other))
    assert name in told and words in told and "a StableDiffusionPipeline (" in told


@pytest.mark.parametrize(("dtype", "trainer", "words"), [
    ("bfloat16", {"precision": "bf16-true"}, "trainer.precision=bf16-true"),
    ("float32", {"precision": "16-mixed"}, "model.dtype=bfloat16"),
    ("float16", {"precision": "32-true", "accelerator": "cpu"}, "trainer=gpu"),
    ("float16", {"precision": "32-true", "accelerator": "gpu"}, None),
    ("bfloat16", {"precision": "32-true", "accelerator": "cpu"}, None),
    ("bfloat16", {"precision": 32}, None),
])
def test_precision_that_contradicts(sd_folder: Path, dtype: str, trainer: dict, words: str | None) -> None:
    model = {"_target_": "src.models.diffusion.DiffusionModel", "name": "x", "path": str(sd_folder), "dtype": dtype}
    told = check({"model": model, "trainer": trainer})
    assert len(told) == (words is not None) and (words is None or words in told[0])


def test_hub_id_without_a_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "hf download owner/name" in problems(hub="owner/name")[0]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Puts the hub at an address of this machine."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return lambda port: monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")


def test_hub_that_answers_and_hub_that_does_not(at) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        at(port)
        assert problems(hub="owner/name") == []
    told = problems(hub="owner/name")
    assert "127.0.0.1 cannot be reached" in told[0] and "model.path=<folder>" in told[0]


def test_hub_that_is_slow_is_left_to_the_run(at, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.core.hub.PATIENCE", 0.05)
    monkeypatch.setattr("src.core.hub._knock", lambda url, failures: (time.sleep(0.3), failures.append("too late")))
    assert problems(hub="owner/name") == []


def test_cached_weights_are_used_without_a_network(sd_folder: Path, tmp_path: Path, monkeypatch) -> None:
    from src.models.diffusion import DiffusionModel

    snapshot = tmp_path / "models--owner--name" / "snapshots" / "abc"
    shutil.copytree(sd_folder, snapshot)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert problems(hub="owner/name") == []
    assert DiffusionModel(name="x", hub="owner/name").load("cpu").latent_shape == (4, 8, 8)


@pytest.mark.parametrize(("method", "told"), [("b2diffurl.module.B2DiffuRL", True), ("pskd.module.Classifier", False)])
def test_weights_are_asked_for_by_a_method_that_takes_them(tmp_path: Path, method: str, told: bool) -> None:
    model = {"_target_": "src.models.diffusion.DiffusionModel", "path": str(tmp_path / "nowhere")}
    assert bool(check({"method": {"_target_": f"src.methods.{method}"}, "model": model})) == told
