"""ClipReward against transformers' and open_clip's own code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.core.errors import UserError
from src.rewards.base import Reward
from src.rewards.clip import ClipReward
from src.rewards.preprocess import Preprocess, from_open_clip, from_transformers

PROMPTS = ["a red cat", "a dog", "a red cat"]


@pytest.fixture
def images() -> Tensor:
    """Smooth pictures on the 8-bit grid, so that a PIL round trip loses nothing."""
    noise = torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, size=(64, 64), mode="bilinear")
    return (smooth * 255).round() / 255


def as_pil(images: Tensor) -> list:
    from PIL import Image

    return [Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()) for image in images]


@pytest.mark.parametrize("shape", [(64, 64), (48, 64), (20, 20), (32, 32)])
def test_preprocessing_as_the_image_processor(clip_folder: Path, images: Tensor, shape) -> None:
    from transformers import CLIPImageProcessor

    processor = CLIPImageProcessor.from_pretrained(clip_folder)
    images = images[..., : shape[0], : shape[1]]
    expected = processor(as_pil(images), return_tensors="pt").pixel_values
    ours = from_transformers(processor)(images)
    assert ours.shape == expected.shape == (3, 3, 32, 32)
    level = 1 / 255 / 0.26  # one 8-bit level after normalisation; the processor rounds after each axis it resizes
    assert (ours - expected).abs().max() <= 1.1 * level
    assert (ours - expected).abs().mean() <= 0.4 * level


def test_preprocessing_resizes_only_where_needed(images: Tensor) -> None:
    same = Preprocess((64,), (64, 64), (0.0,) * 3, (1.0,) * 3)
    assert torch.equal(same(images), images)
    assert Preprocess((16, 24), None, (0.0,) * 3, (1.0,) * 3)(images).shape == (3, 3, 16, 24)


def test_open_clip_settings() -> None:
    settings = {"size": (32, 32), "resize_mode": "squash", "mean": [0.5] * 3, "std": [0.5] * 3,
                "interpolation": "bicubic"}
    assert from_open_clip(settings).resize == (32, 32)
    with pytest.raises(UserError, match="longest"):
        from_open_clip(settings | {"resize_mode": "longest"})


def test_scores_as_clips_own_cosine(clip_folder: Path, images: Tensor) -> None:
    from transformers import CLIPModel, CLIPProcessor

    reward = ClipReward(path=str(clip_folder), batch_size=2).load("cpu")
    scores = reward(images, PROMPTS)
    assert isinstance(reward, Reward) and scores.shape == (3,) and scores.dtype == torch.float32
    model, processor = CLIPModel.from_pretrained(clip_folder).eval(), CLIPProcessor.from_pretrained(clip_folder)
    inputs = processor(text=PROMPTS, images=as_pil(images), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = (model(**inputs).logits_per_image / model.logit_scale.exp()).diagonal()
    torch.testing.assert_close(scores, expected, atol=2e-3, rtol=0)


def test_batch_size_does_not_matter_and_there_is_no_gradient(clip_folder: Path, images: Tensor) -> None:
    one, all_ = (ClipReward(path=str(clip_folder), batch_size=n).load("cpu") for n in (1, 64))
    scores = one(images.requires_grad_(), PROMPTS)
    assert not scores.requires_grad
    torch.testing.assert_close(scores, all_(images, PROMPTS), atol=1e-5, rtol=0)


def test_prompts_are_embedded_once(clip_folder: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    reward = ClipReward(path=str(clip_folder)).load("cpu")
    asked: list[str] = []
    plain = reward._clip.texts
    monkeypatch.setattr(reward._clip, "texts", lambda prompts: asked.extend(prompts) or plain(prompts))
    first = reward(images, PROMPTS)
    assert torch.equal(first, reward(images, PROMPTS))
    assert asked == ["a red cat", "a dog"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_weights(clip_folder: Path, images: Tensor, dtype: str) -> None:
    full, half = (ClipReward(path=str(clip_folder), dtype=d).load("cpu")(images, PROMPTS) for d in ("float32", dtype))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.05, rtol=0)


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is null"):
        ClipReward(path=None).load("cpu")
    with pytest.raises(UserError, match="no such folder"):
        ClipReward(path=str(tmp_path / "nowhere")).load("cpu")
    with pytest.raises(UserError, match=r"lacks config\.json"):
        ClipReward(path=str(tmp_path)).load("cpu")


def test_without_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UserError, match="openclip"):
        ClipReward(path="owner/name", backend="open_clip").load("cpu")


@pytest.fixture(scope="module")
def open_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random OpenCLIP with its config, as the hub's repositories hold them."""
    open_clip = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("open_clip")
    config = {"embed_dim": 16,
              "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8},
              "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def test_open_clip_as_its_own_code(open_clip_folder: Path, images: Tensor) -> None:
    import open_clip

    scores = ClipReward(path=str(open_clip_folder), backend="open_clip", batch_size=2).load("cpu")(images, PROMPTS)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{open_clip_folder}")
    model.eval()
    with torch.no_grad():
        pictures = model.encode_image(torch.stack([preprocess(image) for image in as_pil(images)]), normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(PROMPTS), normalize=True)
    torch.testing.assert_close(scores, (pictures * texts).sum(-1), atol=5e-3, rtol=0)


def test_open_clip_from_a_bare_file_needs_an_architecture(open_clip_folder: Path) -> None:
    file = str(open_clip_folder / "open_clip_model.safetensors")
    with pytest.raises(UserError, match=r"reward\.arch=ViT-Q"):
        ClipReward(path=file, backend="open_clip", arch="ViT-Q").load("cpu")


def test_open_clip_from_a_bare_file(open_clip_folder: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    config = json.loads((open_clip_folder / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny", config)
    file = str(open_clip_folder / "open_clip_model.safetensors")
    scores = [ClipReward(path=path, backend="open_clip", arch="ViT-tiny").load("cpu")(images, PROMPTS)
              for path in (file, str(open_clip_folder))]
    assert torch.equal(*scores)
