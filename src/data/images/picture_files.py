"""Picture files: how they are read, and what is done about those that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from src.core.console import warn
from src.core.cores import own as cores
from src.core.errors import UserError
from src.data.images.decoding import as_rgb

OnUnreadable = Literal["error", "skip"]
T = TypeVar("T")


class Unreadable(Exception):
    """A file that is no picture; the message says why."""


def open_picture(file: Path) -> Image.Image:
    """The whole picture, upright and in RGB. Raises Unreadable."""
    try:
        with Image.open(file) as opened:
            return as_rgb(opened)
    except Exception as error:  # a decoder may raise anything over a damaged file
        raise Unreadable(f"{file}: {_reason(error, file)}") from error


def _reason(error: Exception, file: Path) -> str:
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text.replace(f" '{file}'", "").replace(f"'{file}'", "the file")


def open_or_refuse(file: Path) -> Image.Image:
    """As `open_picture`, but raises UserError."""
    try:
        return open_picture(file)
    except Unreadable as error:
        raise refuse(str(error)) from error


def refuse(told: str) -> UserError:
    """The error over one file that cannot be read."""
    return UserError(f"data.root: {told}", "every file must be a picture",
                     "repair or remove it, or leave such files out with data.on_unreadable=skip")


def each_picture(files: Sequence[Path], make: Callable[[Image.Image], T],
                 on_unreadable: OnUnreadable) -> Iterator[tuple[int, T | None]]:
    """(place, what `make` makes of the picture) of each file, read by a thread per core; None for one that cannot be
    read. With "error", that raises UserError instead; with "skip", a warning names the first ones in the end."""
    def attempt(file: Path) -> T | Unreadable:
        try:
            return make(open_picture(file))
        except Unreadable as error:
            return error

    bad: list[Unreadable] = []
    with ThreadPoolExecutor(len(cores())) as pool:
        for first in range(0, len(files), 1024):  # not all at once: what was made may be large
            for place, made in enumerate(pool.map(attempt, files[first:first + 1024]), first):
                if isinstance(made, Unreadable):
                    if on_unreadable == "error":
                        raise refuse(str(made))
                    bad.append(made)
                    yield place, None
                else:
                    yield place, made
    if bad:
        warn(f"{len(bad)} of {len(files)} pictures cannot be read and are left out: "
             + "; ".join(map(str, bad[:3])) + ("; ..." if len(bad) > 3 else ""))


def as_array(picture: Image.Image) -> np.ndarray:
    """uint8 [height, width, 3], a copy that may be written to."""
    return np.array(picture)
