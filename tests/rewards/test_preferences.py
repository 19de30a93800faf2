"""The rewards on a CLIP: aesthetic, pick_score, hps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.core.errors import UserError
from src.rewards.aesthetic import AestheticReward
from src.rewards.base import Reward
from src.rewards.clip import ClipReward
from src.rewards.hps import HpsReward, squared
from src.rewards.pick_score import PickScoreReward
from tests.rewards.small_models import pictures

PROMPTS = ["a red cat", "a dog", "a red cat"]


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """LAION's head, reduced: linear layers with dropout between them, hence the gaps in the numbers."""
    torch.manual_seed(0)
    layers = {0: (16, 8), 2: (8, 4), 4: (4, 4), 6: (4, 2), 7: (2, 1)}
    state = {f"layers.{n}.{kind}": torch.randn(*shape) for n, (i, o) in layers.items()
             for kind, shape in (("weight", (o, i)), ("bias", (o,)))}
    torch.save(state, tmp_path / "aesthetic-model.pth")
    return tmp_path


def test_aesthetic_is_linear_layers_on_the_unit_embedding(clip_folder: Path, head: Path) -> None:
    reward = AestheticReward(path=str(clip_folder), head=str(head)).load("cpu")
    scores = reward(pictures(), PROMPTS)
    assert isinstance(reward, Reward) and scores.shape == (3,) and scores.dtype == torch.float32
    state = torch.load(head / "aesthetic-model.pth")
    x = ClipReward(path=str(clip_folder)).load("cpu").embed_images(pictures())
    for n in (0, 2, 4, 6, 7):
        x = x @ state[f"layers.{n}.weight"].T + state[f"layers.{n}.bias"]
    torch.testing.assert_close(scores, x[:, 0])
    assert torch.equal(scores, reward(pictures(), ["other"] * 3))
    assert "aesthetic" in reward.identity() and not scores.requires_grad


def test_aesthetic_head_of_another_clip(clip_folder: Path, tmp_path: Path) -> None:
    torch.save({"layers.0.weight": torch.zeros(1, 768), "layers.0.bias": torch.zeros(1)}, tmp_path / "head.pth")
    with pytest.raises(UserError, match=r"\(768, 1\).*16 values"):
        AestheticReward(path=str(clip_folder), head=str(tmp_path / "head.pth")).load("cpu")
    torch.save({"a": 1}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="no state dict"):
        AestheticReward(path=str(clip_folder), head=str(tmp_path / "other.pth")).load("cpu")
    with pytest.raises(UserError, match=r"lacks aesthetic-model\.pth"):
        AestheticReward(path=str(clip_folder), head=str(tmp_path)).load("cpu")


def test_pick_score_is_the_cosine_times_the_scale(clip_folder: Path) -> None:
    from transformers import CLIPModel

    reward = PickScoreReward(path=str(clip_folder), processor=str(clip_folder), batch_size=2).load("cpu")
    cosine = ClipReward(path=str(clip_folder)).load("cpu")(pictures(), PROMPTS)
    scale = CLIPModel.from_pretrained(clip_folder).logit_scale.exp().item()
    torch.testing.assert_close(reward(pictures(), PROMPTS), scale * cosine, atol=1e-4, rtol=1e-4)
    with pytest.raises(UserError, match=r"reward\.processor"):
        PickScoreReward(path=str(clip_folder), processor="nowhere").load("cpu")


def test_own_device_wins(clip_folder: Path) -> None:
    reward = ClipReward(path=str(clip_folder), device="cpu").load("meta")
    assert reward(pictures(), PROMPTS).device.type == "cpu"


def test_squares() -> None:
    wide = squared(torch.ones(1, 3, 4, 8))
    assert wide.shape == (1, 3, 8, 8) and wide[0, 0, :, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert squared(torch.ones(1, 3, 5, 5)).shape == (1, 3, 5, 5)


def test_hps_loads_its_own_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_clip = pytest.importorskip("open_clip")
    config = {"embed_dim": 16,
              "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8},
              "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny", config)
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-tiny").eval()
    torch.save({"state_dict": model.state_dict(), "epoch": 1}, tmp_path / "HPS_v2.1_compressed.pt")
    images = pictures(side=32)
    scores = HpsReward(path=str(tmp_path), arch="ViT-tiny", batch_size=2).load("cpu")(images, PROMPTS)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.visual.image_mean, model.visual.image_std))
    with torch.no_grad():
        seen = model.encode_image((images - mean) / std, normalize=True)
        read = model.encode_text(open_clip.get_tokenizer("ViT-tiny")(PROMPTS), normalize=True)
    torch.testing.assert_close(scores, (seen * read).sum(1), atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match="no such folder"):
        HpsReward(path=str(tmp_path / "no.pt")).load("cpu")
