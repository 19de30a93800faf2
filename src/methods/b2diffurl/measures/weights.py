"""Weights of the measures' networks that come as one file from an address. Pure Python until they are fetched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from src.core.errors import UserError, describe
from src.core.hub import unreachable
from src.core.places import local_path


@dataclass(frozen=True)
class File:
    """A file of weights, and the option that names a local copy."""

    url: str
    option: str

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


ALEXNET = File("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "measures.lpips.path")
INCEPTION = File("https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                 "weights-inception-2015-12-05-6726825d.pth", "measures.inception.path")


def problem(wanted: File, path: str | None) -> str | None:
    """What is wrong with a path, or with fetching the file, as far as can be seen in a moment; None if nothing is."""
    if path is not None:
        found = local_path(path)
        return None if found and found.is_file() else describe(f"{wanted.option}={path}", "there is no such file",
                                                               f"give a copy of {wanted.url}")
    reason = None if cached(wanted).is_file() else unreachable(wanted.url)
    return _missing(wanted, reason) if reason else None


def fetched(wanted: File, path: str | None) -> Path:
    """The local file; without a path torch's cache, into which it is downloaded. Raises UserError if that fails."""
    if text := problem(wanted, path):
        raise UserError(text)
    if path is not None:
        return local_path(path)
    if not (place := cached(wanted)).is_file():
        import torch

        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(wanted.url, str(place), progress=False)
        except OSError as error:
            raise UserError(_missing(wanted, str(error))) from error
    return place


def cached(wanted: File) -> Path:
    """Where torch.hub keeps such files."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints" / wanted.file


def _missing(wanted: File, reason: str) -> str:
    name = wanted.option.split(".")[1]
    return describe(f"{wanted.option}=null", f"{wanted.file} is not in {cached(wanted).parent}, and cannot be fetched "
                    f"({reason})", f"copy {wanted.url} here and give {wanted.option}=<file>, or leave the measure out: "
                                   f"~measures.{name}")
