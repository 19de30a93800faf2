"""Names of files in one piece of memory."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from src.data.images.paths import Paths

NAMES = ["cat/a.png", "dog with space/\u00fc.jpg", "dog with space/\udcff.png", "emu/deep/er/b.webp"]


def test_they_are_the_files_of_the_folder() -> None:
    folder = Path("/data")
    paths = Paths(folder, NAMES)
    assert list(paths) == [folder / name for name in NAMES] and len(paths) == 4
    assert paths[1:3] == [folder / name for name in NAMES[1:3]]
    assert paths[torch.tensor(3)] == paths[-1] == folder / NAMES[-1]
    with pytest.raises(IndexError):
        paths[4]
    assert list(pickle.loads(pickle.dumps(paths))) == list(paths)
    assert list(Paths(folder, [])) == []


def test_they_take_no_more_than_their_letters() -> None:
    names = [f"n{number % 7:08d}/{number:08d}.JPEG" for number in range(1000)]
    assert len(pickle.dumps(Paths(Path("/data"), names))) < len("".join(names)) + 1000
