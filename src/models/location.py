"""Where weights lie: a local folder or the hub's cache. Pure Python, so that the static check can use it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

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
CLIP_FILES: Files = (("config.json",), _TEXT_WEIGHTS, ("tokenizer.json", "vocab.json"),
                     ("preprocessor_config.json", "processor_config.json"))
CLIP_PATTERNS = ("config.json", "model.safetensors", "tokenizer*", "vocab.json", "merges.txt",
                 "special_tokens_map.json", "*processor_config.json")
OPEN_CLIP_FILES: Files = (("open_clip_config.json",),
                          ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))
OPEN_CLIP_PATTERNS = ("open_clip_config.json", "open_clip_model.safetensors", "tokenizer*", "vocab.json", "merges.txt")


def local_path(path: str) -> Path | None:
    """The existing file or folder: as given (from the working directory), else from the project's root; else None."""
    for candidate in (Path(path).expanduser(), PROJECT / path):
        if candidate.exists():
            return candidate.resolve()
    return None


def is_hub_id(path: str) -> bool:
    """Whether the words look like `owner/name` on the hub (a relative path such as ./a/b does not)."""
    return re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", path) is not None


def missing_files(folder: Path, files: Files) -> list[str]:
    """The needed files that the folder lacks, each by its first name."""
    return [names[0] for names in files if not any((folder / name).is_file() for name in names)]


def hub_cache() -> Path:
    """The hub's cache folder, found as huggingface_hub finds it."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def cached_snapshot(hub_id: str) -> Path | None:
    """The newest snapshot of a hub repository in the cache, whole or not; None if there is none."""
    repository = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    main = repository / "refs" / "main"
    if main.is_file():
        named = repository / "snapshots" / main.read_text().strip()
        if named.is_dir():
            return named
    snapshots = [folder for folder in (repository / "snapshots").glob("*") if folder.is_dir()]
    return max(snapshots, key=lambda folder: folder.stat().st_mtime, default=None)


def hub_offline() -> bool:
    """Whether the user switched the hub off by the environment."""
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
               for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def path_problem(path: str, files: Files, option: str, patterns: Sequence[str]) -> str | None:
    """What is wrong with a path as far as can be seen without a network; None if nothing is."""
    folder = local_path(path)
    if folder is None:
        if not is_hub_id(path):
            return (f"{option}={path}: there is no such folder. Give a folder that holds {files[0][0]}, "
                    "or a hub id owner/name.")
        whole = (snapshot := cached_snapshot(path)) is not None and not missing_files(snapshot, files)
        return offline_message(path, option, patterns) if hub_offline() and not whole else None
    if folder.is_file():
        return f"{option}={path}: this is a file. Give the folder that holds {files[0][0]}."
    if missing := missing_files(folder, files):
        return f"{option}={path}: the folder lacks {', '.join(missing)}. Give a folder with all of the model's files."
    return None


def offline_message(hub_id: str, option: str, patterns: Sequence[str], reason: str = "the hub is switched off") -> str:
    """What to do when a hub repository is neither in the cache nor within reach."""
    name = hub_id.rpartition("/")[2]
    wanted = " ".join(f'--include "{pattern}"' for pattern in patterns)
    return (f"{option}: the weights of {hub_id} are not in {hub_cache()}, and they cannot be fetched ({reason}).\n"
            f"On a machine with a network run\n  hf download {hub_id} --local-dir {name} {wanted}\n"
            f"then copy the folder here and give {option}=<folder>/{name}.")
