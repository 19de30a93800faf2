"""The checkpoints in a run's folder: which there are, and which of them can be read. No torch is needed for that."""

import functools
import zipfile
from pathlib import Path

from src.core import console
from src.core.errors import UserError

LAST, PREVIOUS, BEST = "last.ckpt", "last-prev.ckpt", "best.ckpt"
KEPT_SUFFIX = ".safetensors"  # of weights kept on the way
NEXT = "next.ckpt"  # complete, but its epoch's row may not be in metrics.csv yet


def in_run(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, as they are to be taken for an evaluation."""
    files = [folder / "checkpoints" / name for name in (BEST, LAST, PREVIOUS)]
    return [path for path in files if path.is_file()]


def newest(folder: Path) -> Path | None:
    """The newest checkpoint of a run that can be read; None if it never wrote one."""
    damaged = []
    for path in (folder / "checkpoints" / LAST, folder / "checkpoints" / PREVIOUS):
        if not path.is_file():
            continue
        fault = damage(path)
        if fault is None:
            if damaged:
                console.warn(f"{damaged[0]} is damaged; going on from {path.name}, one epoch earlier")
            return path
        damaged.append(path)
    if damaged:
        raise UserError(damaged[0], "every checkpoint of this run is damaged", "start it anew without resume=")
    return None


def refuse_damaged(path: Path) -> None:
    """Raise ``UserError`` if the file cannot be read; it names another one of the run, if that can."""
    if (fault := damage(path)) is None:
        return
    others = [path.with_name(name) for name in (LAST, PREVIOUS, BEST) if name != path.name]
    other = next((file for file in others if file.is_file() and damage(file) is None), None)
    fix = f"use {other.name}, which lies beside it and can be read" if other else "give another one: ckpt=..."
    raise UserError(path, f"the checkpoint is damaged ({fault})", fix)


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint file (each of its parts carries a checksum), or None."""
    try:
        state = path.stat()
    except OSError as error:
        return error.strerror or str(error)
    return _damage(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=64)  # a file of gigabytes is looked at when a run is planned and when it is loaded
def _damage(path: Path, changed: int, size: int) -> str | None:
    if size == 0:
        return "it is empty"
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:  # zipfile raises whatever the damage leads it into
        return str(error) or type(error).__name__
    return f"checksum of {broken}" if broken else None
