"""What can be said about pictures before anything is loaded. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from src.core.errors import UserError
from src.data.images.folders import find_splits, split_problems
from src.data.images.rules import option_problems
from src.data.images.sources import how_to_fill, missing

Options = Mapping[str, Any]


def picture_problems(target: str, data: Options) -> list[str]:
    """Problems of the options of `target`; none if this is no set of pictures of ours."""
    rules = _RULES.get(target)
    return [] if rules is None else [*option_problems(data), *rules(data)]


def _folder_problems(data: Options) -> list[str]:
    names = {split: data.get(split, split) for split in ("train", "val", "test")}
    try:
        return split_problems(find_splits(data["root"], names, data.get("val_share", 0.0)))
    except UserError as error:
        return [str(error)]


def _artist_problems(data: Options) -> list[str]:
    return ["data.artists=[]: there is no artist in it. Name some, or all with data.artists=null"] \
        if data.get("artists") == [] else []


def _source_problems(name: str) -> Callable[[Options], list[str]]:
    def problems(data: Options) -> list[str]:
        root = data.get("root", "datasets")
        if data.get("download", True):  # then only trying can tell
            return []
        absent = missing(name, Path(root).expanduser())
        return [how_to_fill(name, root, f"{', '.join(absent)} not found there", False)] if absent else []

    return problems


_RULES: dict[str, Callable[[Options], list[str]]] = {
    "src.data.images.emoji.pictures.Emoji": _artist_problems,
    "src.data.images.folder.image_folder": _folder_problems,
    "src.data.images.torchvision_sets.Cifar10": _source_problems("cifar10"),
    "src.data.images.torchvision_sets.Cifar100": _source_problems("cifar100"),
    "src.data.images.torchvision_sets.FashionMnist": _source_problems("fashion_mnist"),
}
