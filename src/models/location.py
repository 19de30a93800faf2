"""Where weights lie, and which files a model needs. Pure Python, so that the static check can use it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from src.core.hub import cached_snapshot, is_hub_id, offline_message, unreachable
from src.core.places import local_path

# Each entry is one needed file, as a list of names of which one suffices.
Files = Sequence[Sequence[str]]
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json",
            "diffusion_pytorch_model.bin")
_TEXT_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
PIPELINE_FILES: Files = (
    ("model_index.json",),
    ("unet/config.json",), tuple(f"unet/{name}" for name in _WEIGHTS),
    ("vae/config.json",), tuple(f"vae/{name}" for name in _WEIGHTS),
    ("text_encoder/config.json",), tuple(f"text_encoder/{name}" for name in _TEXT_WEIGHTS),
    ("tokenizer/tokenizer.json", "tokenizer/vocab.json"),
    ("scheduler/scheduler_config.json",),
)
# What is fetched from the hub: no safety checker, no half-precision or optimiser twins of the weights.
PIPELINE_PATTERNS = (
    "model_index.json", "scheduler/*.json", "tokenizer/*", "text_encoder/config.json", "text_encoder/model.safetensors",
    "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)
SDXL_FILES: Files = (
    *PIPELINE_FILES, ("text_encoder_2/config.json",), tuple(f"text_encoder_2/{name}" for name in _TEXT_WEIGHTS),
    ("tokenizer_2/tokenizer.json", "tokenizer_2/vocab.json"),
)
SDXL_PATTERNS = (*PIPELINE_PATTERNS, "tokenizer_2/*", "text_encoder_2/config.json", "text_encoder_2/model.safetensors")
CLIP_FILES: Files = (("config.json",), _TEXT_WEIGHTS, ("tokenizer.json", "vocab.json"),
                     ("preprocessor_config.json", "processor_config.json"))
CLIP_PATTERNS = ("config.json", "model.safetensors", "tokenizer*", "vocab.json", "merges.txt",
                 "special_tokens_map.json", "*processor_config.json")
OPEN_CLIP_FILES: Files = (("open_clip_config.json",),
                          ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))
OPEN_CLIP_PATTERNS = ("open_clip_config.json", "open_clip_model.safetensors", "tokenizer*", "vocab.json", "merges.txt")


def missing_files(folder: Path, files: Files) -> list[str]:
    """The needed files that the folder lacks, each by its first name; a Git LFS pointer is no file."""
    return [names[0] for names in files if not any(_whole(folder / name) for name in names)]


def _whole(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return not stream.read(64).startswith(b"version https://git-lfs")


def path_problem(path: str, files: Files, option: str, patterns: Sequence[str]) -> str | None:
    """What is wrong with a path as far as can be seen without fetching it; None if nothing is."""
    folder = local_path(path)
    if folder is None:
        if not is_hub_id(path):
            return (f"{option}={path}: there is no such folder. Give a folder that holds {files[0][0]}, "
                    "or a hub id owner/name.")
        whole = (snapshot := cached_snapshot(path)) is not None and not missing_files(snapshot, files)
        reason = None if whole else unreachable()
        return offline_message(path, option, patterns, reason) if reason else None
    if folder.is_file():
        return f"{option}={path}: this is a file. Give the folder that holds {files[0][0]}."
    if missing := missing_files(folder, files):
        return (f"{option}={path}: the folder lacks {', '.join(missing)}. "
                "Give a folder with all of the model's files (after `git lfs pull` if it is a clone).")
    return None
