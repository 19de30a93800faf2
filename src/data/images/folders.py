"""Folders of pictures: which classes, which files. Pure Python, so that the static check can use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from src.core.errors import UserError, describe
from src.data.images.rules import insist
from src.models.location import local_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")
ANNOTATIONS = "val_annotations.txt"  # tiny-imagenet: a line per picture of images/: file, tab, class, tab, ...


@dataclass
class Listing:
    """The pictures of one split, in a fixed order."""

    folder: Path
    files: list[str] = field(default_factory=list)  # below `folder`, with / between parts
    labels: list[int] = field(default_factory=list)

    def paths(self) -> list[Path]:
        """The files, to be opened."""
        return [self.folder / file for file in self.files]


def find_splits(root: str, names: Mapping[str, str | None], val_share: float = 0.0) -> dict[str, Path]:
    """The folder of each split. `names`: what the folders "train", "val" and "test" are called, None: there is none.

    Without a test folder, val is the test split, and `val_share` of train the validation. Raises UserError if there
    is not enough to train and test with, or two things to validate with.
    """
    base = local_path(root)
    if base is None or not base.is_dir():
        raise UserError(f"data.root={root}: there is no such folder",
                        fix="give a folder that holds train/ and val/, each with a folder per class")
    found = {split: base / name for split, name in names.items() if name and (base / name).is_dir()}
    if "train" not in found:
        raise UserError(f"data.root={root}: there is no folder {names['train']} in it",
                        fix="pictures to train on lie in a folder per class there; data.train names it")
    if "test" not in found:
        if "val" not in found:
            raise UserError(f"data.root={root}: there is neither a folder {names['val']} nor {names['test']} in it",
                            fix="put pictures to test with into one of them, in a folder per class")
        found["test"] = found.pop("val")
    if val_share and "val" in found:
        raise UserError(f"data.val_share={val_share}: {found['val']} is there to validate with",
                        "a share of training is held out only if there is no such folder", "set data.val_share=0")
    return found


def split_problems(splits: Mapping[str, Path]) -> list[str]:
    """Classes that one split has and another lacks, by name. Reads no pictures."""
    problems = []
    classes = {split: set(class_names(folder)) for split, folder in splits.items()}
    for split, folder in splits.items():
        if not classes[split]:
            problems.append(describe(f"data.root: {folder} has no class folders", "each class is a folder of pictures",
                                     "unlabelled pictures are of no use here: set data.test=null if these are some"
                                     if split == "test" else ""))
        elif absent := sorted(classes["train"] - classes[split]):
            problems.append(_differ(folder, "lacks", absent, split))
        if unknown := sorted(classes[split] - classes["train"]):
            problems.append(_differ(folder, f"has, but {splits['train']} lacks,", unknown, split))
    return problems


def _differ(folder: Path, verb: str, names: list[str], split: str) -> str:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    fix = "make the class folders equal" + (", or leave this split out with data.test=null" if split == "test" else "")
    return describe(f"data.root: {folder} {verb} the class folders {shown}", "all splits have the same classes", fix)


def class_names(folder: Path) -> list[str]:
    """Sorted: folders below `folder`, or the classes in its annotation file."""
    if (folder / ANNOTATIONS).is_file():
        return sorted(set(_annotations(folder).values()))
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def list_pictures(folder: Path, classes: list[str]) -> Listing:
    """All pictures of a split, class after class, each class's sorted by path."""
    number = {name: place for place, name in enumerate(classes)}
    if (folder / ANNOTATIONS).is_file():
        pairs = sorted((number[kind], f"images/{file}") for file, kind in _annotations(folder).items())
    else:
        pairs = [(number[name], file) for name in classes for file in _pictures_below(folder, name)]
    return Listing(folder, [file for _, file in pairs], [label for label, _ in pairs])


def _pictures_below(folder: Path, name: str) -> list[str]:
    found = []
    for place, _, files in os.walk(folder / name, followlinks=True):
        below = Path(place).relative_to(folder).as_posix()
        found += [f"{below}/{file}" for file in files
                  if file.lower().endswith(SUFFIXES) and not file.startswith(".")]
    return sorted(found)


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


def read_listings(splits: Mapping[str, Path]) -> tuple[list[str], dict[str, Listing]]:
    """The classes, sorted, and the pictures of each split. Raises UserError for classes that differ or are empty."""
    insist(split_problems(splits))
    classes = class_names(splits["train"])
    listings = {split: list_pictures(folder, classes) for split, folder in splits.items()}
    for split, listing in listings.items():
        if not listing.files:
            raise UserError(f"data.root: {listing.folder} has no pictures ({', '.join(SUFFIXES)})",
                            "each split needs at least one")
        empty = sorted(set(range(len(classes))) - set(listing.labels)) if split == "train" else []
        if empty:
            raise UserError(f"data.root: {listing.folder / classes[empty[0]]} has no pictures",
                            "each class needs one to train on", "fill it, or remove it from all splits")
    return classes, listings
