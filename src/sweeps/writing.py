"""Files that commands write into a folder of the user's choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.core.errors import UserError


@contextmanager
def written_to(folder: Path, fix: str) -> Iterator[Path]:
    """The folder, made if it is not there. Raises ``UserError`` if it or a file in it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        raise UserError(folder, f"this folder cannot be written ({error.strerror or error})", fix) from error
