"""The kinds of pipeline folder that can be trained, and what is wrong with another. Pure Python, for the static check.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.models.location import PIPELINE_FILES, PIPELINE_PATTERNS, SDXL_FILES, SDXL_PATTERNS, Files


@dataclass(frozen=True)
class Pipeline:
    """A class of diffusers' pipelines: what its folder holds, and which `model=` trains it."""

    name: str
    versions: str
    choice: str
    files: Files
    patterns: Sequence[str]


PIPELINES = {pipeline.name: pipeline for pipeline in (
    Pipeline("StableDiffusionPipeline", "Stable Diffusion 1.x or 2.x", "model=sd15 (1.x) or model=sd21 (2.x)",
             PIPELINE_FILES, PIPELINE_PATTERNS),
    Pipeline("StableDiffusionXLPipeline", "Stable Diffusion XL", "model=sdxl", SDXL_FILES, SDXL_PATTERNS),
)}
# How relatives of these pipelines differ.
_DIFFERENCES = {
    "StableDiffusionPipeline": ", which has one text encoder",
    "StableDiffusionXLPipeline": ", which has two text encoders",
    "StableDiffusionXLImg2ImgPipeline": ", which refines pictures",
    "StableDiffusionXLInpaintPipeline": ", whose UNet takes a mask too",
    "StableDiffusionInpaintPipeline": ", whose UNet takes a mask too",
    "StableDiffusionUpscalePipeline": ", whose UNet takes a small picture too",
    "StableDiffusionDepth2ImgPipeline": ", whose UNet takes a depth map too",
    "StableDiffusionInstructPix2PixPipeline": ", whose UNet takes a picture too",
}


def folder_problem(path: str, folder: Path, wanted: Pipeline) -> str | None:
    """What is wrong with what the folder says of itself: its kind of pipeline, then its scheduler. None if nothing."""
    name = (_settings(folder / "model_index.json") or {}).get("_class_name")
    if name is None:
        return f"model.path={path}: its model_index.json is not a pipeline's description. Save the pipeline again."
    if name != wanted.name:
        other = f"Use {PIPELINES[name].choice} for it, or give" if name in PIPELINES else "Give"
        return (f"model.path={path}: it holds a {name}{_DIFFERENCES.get(name, '')}. "
                f"{other} a {wanted.name} ({wanted.versions}).")
    return _scheduler_problem(path, folder)


def _scheduler_problem(path: str, folder: Path) -> str | None:
    """DDIM is read off the folder's scheduler, which has to be one of DDPM's family: of betas."""
    settings = _settings(folder / "scheduler" / "scheduler_config.json")
    if settings is None or "beta_schedule" in settings:
        return None
    return (f"model.path={path}: its {settings.get('_class_name')} has no beta_schedule, so its noise is not DDPM's. "
            "Give a model that a DDIMScheduler can sample from.")


def resolution_problem(resolution: int | None, folder: Path) -> str | None:
    """A side must be a whole number of latents, as the folder's VAE makes them."""
    channels = (_settings(folder / "vae" / "config.json") or {}).get("block_out_channels") or [0] * 4
    scale = 2 ** (len(channels) - 1)
    if resolution is None or resolution % scale == 0:
        return None
    nearest = max(1, round(resolution / scale)) * scale
    return (f"model.resolution={resolution}: must be a multiple of {scale}, the pixels of one latent. "
            f"Use {nearest}, or null for the model's own.")


def _settings(file: Path) -> dict[str, Any] | None:
    """A JSON file's object; None if there is no such file or it holds something else."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return settings if isinstance(settings, dict) else None
