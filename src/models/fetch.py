"""Turns a path or a hub id into a local folder that has all files of a model, or says what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from src.core.errors import UserError
from src.core.hub import cached_snapshot, offline_message
from src.core.places import local_path
from src.models.location import Files, missing_files, path_problem


def weights_folder(path: str, files: Files, option: str, patterns: Sequence[str]) -> Path:
    """The local folder behind `path`; a hub id is taken from the cache, else downloaded (only what fits `patterns`).

    Raises UserError naming the missing file, or the folder and the command that fill the gap without a network.
    """
    if problem := path_problem(path, files, option, patterns):
        raise UserError(problem)
    if (folder := local_path(path)) is not None:
        return folder
    snapshot = cached_snapshot(path)
    if snapshot is None or missing_files(snapshot, files):
        snapshot = _download(path, option, patterns)
        if lacking := missing_files(snapshot, files):  # older repositories have their weights in another format
            snapshot = _download(path, option, [name for names in files if names[0] in lacking for name in names])
    if missing := missing_files(snapshot, files):
        raise UserError(f"{option}={path}: the hub repository lacks {', '.join(missing)}. "
                        "Give another id or a local folder.")
    return snapshot


@contextmanager
def loading(option: str, path: str) -> Iterator[None]:
    """Around the libraries' loading: no bars of theirs, and a UserError for files that are broken or do not fit."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = f"{type(error).__name__}: {str(error).strip()[:200]}"
        raise UserError(f"{option}={path}", f"its files cannot be loaded ({reason})",
                        "get them again, or give another folder") from error


def _download(hub_id: str, option: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns)))
    except Exception as error:  # network, rights, no such repository: the library has a dozen classes for it
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
        raise UserError(offline_message(hub_id, option, patterns, reason)) from error
