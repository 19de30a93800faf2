"""Folders of pictures: which classes, which files. Pure Python, so that the static check can use it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from src.core.errors import UserError

if TYPE_CHECKING:
    from src.data.images.paths import Paths

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")
NO_PICTURES = (".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".md", ".ini", ".db")  # what lies beside some
ANNOTATIONS = "val_annotations.txt"  # tiny-imagenet: a line per picture of images/: file, tab, class, tab, ...


@dataclass
class Listing:
    """The pictures of one split, in a fixed order."""

    folder: Path
    files: list[str] = field(default_factory=list)  # below `folder`, with / between parts
    labels: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # files by suffix that may be pictures, but are not read

    def paths(self) -> Paths:
        """The files, to be opened."""
        from src.data.images.paths import Paths  # NumPy, which the static check does without

        return Paths(self.folder, self.files)


def class_names(folder: Path) -> list[str]:
    """Sorted: folders below `folder`, or the classes in its annotation file."""
    if (folder / ANNOTATIONS).is_file():
        return sorted(set(_annotations(folder).values()))
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def list_pictures(folder: Path, classes: list[str]) -> Listing:
    """All pictures of a split, class after class, each class's sorted by path."""
    if (folder / ANNOTATIONS).is_file():
        number = {name: place for place, name in enumerate(classes)}
        pairs = sorted((number[kind], f"images/{file}") for file, kind in _annotations(folder).items())
        return Listing(folder, [file for _, file in pairs], [label for label, _ in pairs])
    listing = Listing(folder)
    for label, name in enumerate(classes):
        for file in sorted(_files_below(folder, name)):
            if _is_picture(file):
                listing.files.append(file), listing.labels.append(label)
            elif not file.lower().endswith(NO_PICTURES):
                listing.left_out[Path(file).suffix.lower()] += 1
    return listing


def pictures_below(folder: Path, name: str) -> Iterator[str]:
    """The files of one class, in the file system's own order; no more of it is read than is asked for."""
    return filter(_is_picture, _files_below(folder, name))


def _files_below(folder: Path, name: str) -> Iterator[str]:
    for place, _, files in os.walk(folder / name, followlinks=True):
        below = Path(place).relative_to(folder).as_posix()
        yield from (f"{below}/{file}" for file in files if not file.startswith("."))


def _is_picture(file: str) -> bool:
    return file.lower().endswith(SUFFIXES)


def count_pictures(folder: Path, name: str, most: int | None = None) -> int:
    """How many pictures a class has; of more than `most` no more are counted."""
    if (folder / ANNOTATIONS).is_file():
        return sum(kind == name for kind in _annotations(folder).values())
    return sum(1 for _ in islice(pictures_below(folder, name), most))


def _annotations(folder: Path) -> dict[str, str]:
    """Class of each file of the folder images/."""
    pairs = {}
    for line in (folder / ANNOTATIONS).read_text(encoding="utf-8").splitlines():
        file, tab, rest = line.partition("\t")
        if line.strip() and not tab:
            raise UserError(f"data.root: {folder / ANNOTATIONS} has the line {line!r}",
                            "a line holds a file, a tab and its class")
        if line.strip():
            pairs[file] = rest.split("\t")[0]
    return pairs
