"""Names of very many files."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np


class Paths(Sequence[Path]):
    """Files below one folder, in one piece of memory that worker processes share.

    Of a list they would copy page after page, since a look at an object changes its count of references: half a
    gigabyte in each worker for ImageNet.
    """

    def __init__(self, folder: Path, files: Sequence[str]) -> None:
        self._folder, self._names = folder, np.array([os.fsencode(file) for file in files], dtype=np.bytes_)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> Path: ...

    @overload
    def __getitem__(self, place: slice) -> list[Path]: ...

    def __getitem__(self, place: int | slice) -> Path | list[Path]:
        if isinstance(place, slice):
            return [self._path(name) for name in self._names[place]]
        return self._path(self._names[operator.index(place)])

    def _path(self, name: bytes) -> Path:
        return self._folder / os.fsdecode(name)
