"""Turns a path or a hub id into a local folder that has all files of a model, or says what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from src.core.errors import UserError
from src.models.location import (
    Files,
    cached_snapshot,
    hub_offline,
    local_path,
    missing_files,
    offline_message,
    path_problem,
)


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


def quiet_loading() -> None:
    """No bars of the libraries while weights are read: the run has its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _download(hub_id: str, option: str, patterns: Sequence[str]) -> Path:
    if hub_offline():
        raise UserError(offline_message(hub_id, option, patterns))
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns)))
    except Exception as error:  # network, rights, no such repository: the library has a dozen classes for it
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
        raise UserError(offline_message(hub_id, option, patterns, reason)) from error
