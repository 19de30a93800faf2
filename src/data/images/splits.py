"""Which folders a run trains, validates and tests with, and what is wrong with them. Pure Python, and no picture is
opened, so that the static check can use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from src.core.errors import UserError, describe, did_you_mean
from src.core.places import local_path
from src.data.images.folders import SUFFIXES, Listing, class_names, count_pictures, list_pictures
from src.data.images.rules import batch_problem, held, insist


def find_splits(root: str, names: Mapping[str, str | None], shares: Mapping[str, float]) -> dict[str, Path]:
    """The folder of each split. `names`: what the folders "train", "val" and "test" are called, None: there is none.
    `shares`: of train, to validate and to test with.

    With nothing else to test with, val is the test split. Raises UserError if there is not enough to train and test
    with, or two things to do the same with, or no folder of a name that somebody chose.
    """
    base = local_path(root)
    if base is None or not base.is_dir():
        raise UserError(f"data.root={root}: there is no such folder",
                        fix="give a folder that holds train/ and val/, each with a folder per class")
    found = {split: base / name for split, name in names.items() if name and (base / name).is_dir()}
    if "train" not in found:
        raise UserError(f"data.root={root}: there is no folder {names['train']} in it",
                        f"pictures lie in {names['train']}/<class>/ and {names['val'] or 'val'}/<class>/ below it",
                        _without_splits(base, found))
    for split, name in names.items():
        if name and split not in (*found, name):
            raise UserError(f"data.{split}={name}: there is no such folder in {root}", "",
                            did_you_mean(name, [*class_names(base), "null"]))
    if "test" not in found and not shares.get("test"):
        if "val" not in found:
            raise _nothing_to_test_with(root, [name for split, name in names.items() if name and split != "train"])
        found["test"] = found.pop("val")
    for split, share in shares.items():
        if share and split in found:
            raise UserError(f"data.{split}_share={share}: {found[split]} is there to {_USES[split]} with",
                            "a share of training is held out only if there is no such folder",
                            f"set data.{split}_share=0")
    return found


_USES = {"val": "validate", "test": "test"}
_HOLD_OUT = "data.test_share=0.2 data.val_share=0.1"


def _without_splits(base: Path, found: Mapping[str, Path]) -> str:
    if held := next((folder.name for folder in (found.get("test"), found.get("val")) if folder), None):
        return f"only to evaluate a checkpoint, no pictures of training are needed: add data.train={held}"
    classes = class_names(base)
    return f"to train on its folders ({some(classes)}) as classes, and hold pictures out of each, add data.train=. " \
           f"{_HOLD_OUT}" if len(classes) > 1 else ""


def _nothing_to_test_with(root: str, names: Sequence[str]) -> UserError:
    absent = f"there is no folder {' or '.join(names)} in it" if names else "data.val and data.test are null"
    return UserError(f"data.root={root}: {absent}", "there is nothing to test with",
                     f"hold pictures out of each class with {_HOLD_OUT}, or put some into a folder per class there")


def split_problems(splits: Mapping[str, Path]) -> list[str]:
    """Classes that one split has and another lacks, by name; fewer than two. Looks at no files."""
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
    if len(classes["train"]) == 1:
        problems.append(describe(f"data.root: {splits['train']} has one class folder, {some(classes['train'])}",
                                 "a classifier tells two classes or more apart", "add a folder of other pictures"))
    return problems


def _differ(folder: Path, verb: str, names: list[str], split: str) -> str:
    fix = "make the class folders equal" + (", or leave this split out with data.test=null" if split == "test" else "")
    return describe(f"data.root: {folder} {verb} the class folders {some(names)}",
                    "all splits have the same classes", fix)


def some(names: Sequence[str] | set[str]) -> str:
    """The first five in order, and how many more."""
    names = sorted(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def empty_problems(splits: Mapping[str, Path]) -> list[str]:
    """Splits without a picture, and classes without one to train on. Looks for the first file of each class."""
    classes = class_names(splits["train"])
    problems = [describe(f"data.root: {folder} has no pictures ({', '.join(SUFFIXES)})",
                         "each split needs at least one")
                for folder in splits.values() if not any(count_pictures(folder, name, 1) for name in classes)]
    empty = [name for name in classes if not count_pictures(splits["train"], name, 1)]
    if empty and len(empty) < len(classes):
        more = f" (and {some(empty[1:])})" if empty[1:] else ""
        problems.append(describe(f"data.root: {splits['train'] / empty[0]}{more} has no pictures",
                                 "each class needs one to train on", "fill it, or remove it from all splits"))
    return problems


def batch_problems(train: Path, shares: Mapping[str, float], batch_size: int, processes: int) -> list[str]:
    """A batch that is larger than the training set. Counts no more classes than fill one."""
    trained = 0
    for name in class_names(train):
        count = count_pictures(train, name)
        trained += count - sum(held(count, shares).values())
        if trained >= batch_size:
            return []
    return batch_problem(batch_size, processes, trained)


def read_listings(splits: Mapping[str, Path]) -> tuple[list[str], dict[str, Listing]]:
    """The classes, sorted, and the pictures of each split. Raises UserError for classes that differ or are empty."""
    insist(split_problems(splits))
    insist(empty_problems(splits))
    classes = class_names(splits["train"])
    return classes, {split: list_pictures(folder, classes) for split, folder in splits.items()}
