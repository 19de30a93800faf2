"""Two libraries that load a CLIP, behind one small interface: `images` and `texts` give unnormalised embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from src.core.errors import UserError
from src.core.places import local_path
from src.models.fetch import loading, weights_folder
from src.models.location import OPEN_CLIP_FILES, OPEN_CLIP_PATTERNS
from src.rewards.needs import CLIP, Need
from src.rewards.preprocess import from_open_clip, from_transformers
from src.rewards.weights import folder_of


class ClipBackend(Protocol):
    """Pictures [B, 3, H, W] in [0, 1] and prompts to embeddings [B, D] of one space."""

    def images(self, images: Tensor) -> Tensor: ...

    def texts(self, prompts: list[str]) -> Tensor: ...


class TransformersClip:
    """A transformers CLIPModel with its tokenizer and image processor, which `processor`, a folder, may hold."""

    def __init__(self, path: str, dtype: torch.dtype, device: torch.device, need: Need = CLIP,
                 processor: Path | None = None) -> None:
        from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

        folder = folder_of(path, need)
        self.device, self.dtype = device, dtype
        with loading("reward.path", path):
            self.model = CLIPModel.from_pretrained(folder, dtype=dtype).to(device).eval().requires_grad_(False)
            self.tokenizer = CLIPTokenizer.from_pretrained(processor or folder)
            self.preprocess = from_transformers(CLIPImageProcessor.from_pretrained(processor or folder))
        self.length = self.model.config.text_config.max_position_embeddings

    def images(self, images: Tensor) -> Tensor:
        pixels = self.preprocess(images.to(self.device)).to(self.dtype)
        return _features(self.model.get_image_features(pixel_values=pixels))

    def texts(self, prompts: list[str]) -> Tensor:
        tokens = self.tokenizer(prompts, padding=True, truncation=True, max_length=self.length, return_tensors="pt")
        return _features(self.model.get_text_features(**tokens.to(self.device)))


def _features(output: Any) -> Tensor:
    """transformers 5 wraps the projected embedding, earlier versions give it bare."""
    return output if isinstance(output, Tensor) else output.pooler_output


class OpenClip:
    """A model of the open_clip package: folder or hub id with open_clip_config.json, or a bare file of weights."""

    def __init__(self, path: str, arch: str, dtype: torch.dtype, device: torch.device) -> None:
        open_clip = _import_open_clip()
        self.device, self.dtype = device, dtype
        file = local_path(path)
        if file is not None and file.is_file():
            name, weights = _known(open_clip, arch), str(file)
        else:
            name, weights = f"local-dir:{_folder(path)}", None
        with loading("reward.path", path):
            self.model = open_clip.create_model(name, pretrained=weights, require_pretrained=True)
            self.tokenizer = open_clip.get_tokenizer(name)
        self.model.to(device=device, dtype=dtype).eval().requires_grad_(False)
        self.preprocess = from_open_clip(self.model.visual.preprocess_cfg)

    def images(self, images: Tensor) -> Tensor:
        return self.model.encode_image(self.preprocess(images.to(self.device)).to(self.dtype))

    def texts(self, prompts: list[str]) -> Tensor:
        return self.model.encode_text(self.tokenizer(prompts).to(self.device))


def _folder(path: str) -> Path:
    return weights_folder(path, OPEN_CLIP_FILES, "reward.path", OPEN_CLIP_PATTERNS)


def _known(open_clip: Any, arch: str) -> str:
    if arch in open_clip.list_models():
        return arch
    raise UserError(f"reward.arch={arch}: OpenCLIP has no such architecture. A bare file of weights needs its "
                    "architecture, for example reward.arch=ViT-H-14.")


def _import_open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise UserError("reward.backend=open_clip needs the package open_clip_torch, which is not installed. "
                        "Run: pip install -e '.[openclip]' (or use reward.backend=transformers).") from error
    return open_clip
