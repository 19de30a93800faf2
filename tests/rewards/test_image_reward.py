"""ImageRewardReward against the paper's architecture written out with the checkpoint's own names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, gelu, layer_norm, linear
from torchvision.transforms.v2.functional import resize

from src.core.errors import UserError
from src.rewards.base import Reward
from src.rewards.image_reward import ImageRewardReward
from tests.rewards.small_models import image_reward_state, pictures, word_pieces

PROMPTS = ["a red cat", "the dog and the cat on a picture .", "blue"]


class Written:
    """A checkpoint's tensors and the forward pass they belong to, one picture and prompt at a time."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def layer(self, name: str, x: Tensor) -> Tensor:
        return linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        return layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"], eps)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[L, D] each, heads of 64."""
        heads = [((q[:, i : i + 64] @ k[:, i : i + 64].T) / 8).softmax(-1) @ v[:, i : i + 64]
                 for i in range(0, q.shape[1], 64)]
        return torch.cat(heads, 1)

    def see(self, image: Tensor) -> Tensor:
        root = "blip.visual_encoder"
        patches = conv2d(image[None], self.state[f"{root}.patch_embed.proj.weight"],
                         self.state[f"{root}.patch_embed.proj.bias"], stride=16)[0].flatten(1).T
        x = torch.cat([self.state[f"{root}.cls_token"][0], patches]) + self.state[f"{root}.pos_embed"][0]
        for block in (f"{root}.blocks.{i}" for i in range(2)):
            q, k, v = self.layer(f"{block}.attn.qkv", self.norm(f"{block}.norm1", x, 1e-6)).chunk(3, -1)
            x = x + self.layer(f"{block}.attn.proj", self.attend(q, k, v))
            hidden = gelu(self.layer(f"{block}.mlp.fc1", self.norm(f"{block}.norm2", x, 1e-6)))
            x = x + self.layer(f"{block}.mlp.fc2", hidden)
        return self.norm(f"{root}.norm", x, 1e-6)

    def read(self, tokens: list[int], seen: Tensor) -> Tensor:
        root = "blip.text_encoder"
        x = (self.state[f"{root}.embeddings.word_embeddings.weight"][tokens]
             + self.state[f"{root}.embeddings.position_embeddings.weight"][: len(tokens)])
        x = self.norm(f"{root}.embeddings.LayerNorm", x, 1e-12)
        for block in (f"{root}.encoder.layer.{i}" for i in range(2)):
            for kind, other in (("attention", None), ("crossattention", seen)):
                q, k, v = (self.layer(f"{block}.{kind}.self.{name}", x if name == "query" or other is None else other)
                           for name in ("query", "key", "value"))
                x = self.norm(f"{block}.{kind}.output.LayerNorm",
                              x + self.layer(f"{block}.{kind}.output.dense", self.attend(q, k, v)), 1e-12)
            hidden = gelu(self.layer(f"{block}.intermediate.dense", x))
            x = self.norm(f"{block}.output.LayerNorm", x + self.layer(f"{block}.output.dense", hidden), 1e-12)
        return x

    def score(self, image: Tensor, tokens: list[int]) -> float:
        x = self.read(tokens, self.see(image))[0]  # [CLS]
        for number in (0, 2, 4):
            x = self.layer(f"mlp.layers.{number}", x)
        return (x.item() - 0.16717362830052426) / 1.0333394966054072


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image_reward")
    word_pieces(folder)
    torch.save(image_reward_state(), folder / "ImageReward.pt")
    return folder


def reward_of(folder: Path, **options) -> ImageRewardReward:
    return ImageRewardReward(**{"path": str(folder), "tokenizer": str(folder)} | options)


def test_scores_as_the_architecture_written_out(folder: Path) -> None:
    reward = reward_of(folder, batch_size=2).load("cpu")
    images = pictures(side=64)
    scores = reward(images, PROMPTS)
    assert isinstance(reward, Reward) and scores.dtype == torch.float32 and scores.shape == (3,)
    small = resize(images, [32, 32], interpolation=3, antialias=True).clamp(0, 1)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.48145466, 0.4578275, 0.40821073],
                                                            [0.26862954, 0.26130258, 0.27577711]))
    tokenizer, written = word_pieces(folder), Written(image_reward_state())
    expected = [written.score(image, tokenizer(prompt).input_ids)  # padding must not count
                for image, prompt in zip((small - mean) / std, PROMPTS, strict=True)]
    torch.testing.assert_close(scores, torch.tensor(expected), atol=2e-4, rtol=1e-4)
    assert scores.std() > 1e-3


def test_a_bare_file_and_half_precision(folder: Path) -> None:
    full = reward_of(folder).load("cpu")(pictures(), PROMPTS)
    half = reward_of(folder, path=str(folder / "ImageReward.pt"), dtype="bfloat16").load("cpu")(pictures(), PROMPTS)
    torch.testing.assert_close(half, full, atol=0.15, rtol=0)


def test_missing_and_wrong_weights(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks ImageReward\.pt"):
        reward_of(folder, path=str(tmp_path)).load("cpu")
    state = image_reward_state()
    del state["blip.visual_encoder.blocks.1.attn.qkv.weight"]
    torch.save(state, tmp_path / "half.pt")
    with pytest.raises(UserError, match="not ImageReward's weights"):
        reward_of(folder, path=str(tmp_path / "half.pt")).load("cpu")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(UserError, match="cannot be loaded"):
        reward_of(folder, path=str(tmp_path / "text.pt")).load("cpu")
    with pytest.raises(RuntimeError, match="load"):
        reward_of(folder)(pictures(), PROMPTS)
