"""Files that are written completely or not at all, and one clear error where the disk does not take them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.core.errors import FAILED_RUN, UserError

DRAFT = ".draft"  # ending of what is being written; a crash may leave one behind
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the name to write under. After the block the file, or folder, is on the disk and takes the place of
    ``path``; if the block raises, ``path`` is what it was. Raises ``UserError`` if the disk is full or fails."""
    draft = path.with_name(path.name + DRAFT)
    with naming(path):
        try:
            remove(draft)
            yield draft
            for file in (*draft.rglob("*"), draft) if draft.is_dir() else (draft,):
                flush(file)
            if path.is_dir():
                shutil.rmtree(path)  # a folder can only be renamed to a free name
            os.replace(draft, path)
            flush(path.parent)
        except BaseException:
            remove(draft)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a small file in one step."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk itself: a power cut takes the rest."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a crash left half-written below a folder."""
    for path in list(folder.rglob(f"*{DRAFT}")):
        remove(path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Inside, an error of the disk becomes a ``UserError`` that names ``path``."""
    try:
        yield
    except Exception as error:
        if (fault := disk_fault(error)) is None or isinstance(error, UserError):
            raise
        raise unwritable(path, fault) from error


def disk_fault(error: BaseException | None) -> OSError | None:
    """The error of a full or failing disk in a chain of errors; torch reports one as a RuntimeError around it."""
    seen = set()
    while error is not None and id(error) not in seen:  # a chain may lead back to itself
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            return error
        error = error.__cause__ or error.__context__
    return None


def unwritable(path: Path, fault: OSError) -> UserError:
    """What to tell of a file that could not be written."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    return UserError(path, f"could not be written: {fault.strerror or fault} ({free:.1f} GiB free there)",
                     "make room; what was written before is intact", FAILED_RUN)
