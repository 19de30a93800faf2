"""How pictures, prompts and scores travel between the reward `http` and its server: safetensors, nothing that runs."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load, save
from torch import Tensor

from src.rewards.pixels import to_bytes


def pack(images: Tensor, prompts: list[str]) -> bytes:
    """Pictures [B, 3, H, W] in [0, 1], rounded to 8 bits as files are, and their prompts."""
    text = torch.frombuffer(bytearray(json.dumps(prompts).encode()), dtype=torch.uint8)
    return save({"images": to_bytes(images).cpu().contiguous(), "prompts": text})


def unpack(body: bytes) -> tuple[Tensor, list[str]]:
    """Pictures [B, 3, H, W] in [0, 1], float32, and prompts. Raises ValueError for anything else."""
    try:
        tensors = load(body)
        images, prompts = tensors["images"], json.loads(bytes(tensors["prompts"].tolist()))
    except Exception as error:  # safetensors, json and missing keys have a class each
        raise ValueError(f"no pictures and prompts ({type(error).__name__}: {error})") from error
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or len(images) != len(prompts):
        raise ValueError(f"pictures {tuple(images.shape)} of {images.dtype} for {len(prompts)} prompts")
    return images.float() / 255, prompts
