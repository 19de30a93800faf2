"""What can be said about pictures before anything is loaded. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from src.core.config import trainer_rules
from src.core.errors import UserError
from src.data.images.rules import option_problems
from src.data.images.sources import how_to_fill, missing
from src.data.images.splits import batch_problems, empty_problems, find_splits, split_problems

Options = Mapping[str, Any]


def picture_problems(target: str, data: Options, cfg: Options | None = None) -> list[str]:
    """Problems of the options of `target`, in the run `cfg`; none if this is no set of pictures of ours."""
    if target not in _RULES:
        return []
    problems = [*option_problems(data), *_RULES[target](data)]
    return problems or (_batch_problems(data, cfg or {}) if target == _FOLDER else [])


def _folder_problems(data: Options) -> list[str]:
    try:
        splits = _splits(data)
        return split_problems(splits) or empty_problems(splits)
    except UserError as error:
        return [str(error)]


def _splits(data: Options) -> dict[str, Path]:
    names = {split: data.get(split, split) for split in ("train", "val", "test")}
    return find_splits(data["root"], names, _shares(data))


def _shares(data: Options) -> dict[str, float]:
    return {split: data.get(f"{split}_share", 0.0) for split in ("val", "test")}


def _batch_problems(data: Options, cfg: Options) -> list[str]:
    """Only training needs a full batch. Devices that are not counted yet are one."""
    size, processes = (cfg.get("method") or {}).get("batch_size"), trainer_rules.processes(cfg.get("trainer") or {})
    if not isinstance(size, int) or cfg.get("mode") != "train":
        return []
    return batch_problems(_splits(data)["train"], _shares(data), size, processes or 1)


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


_FOLDER = "src.data.images.folder.image_folder"
_RULES: dict[str, Callable[[Options], list[str]]] = {
    "src.data.images.emoji.pictures.Emoji": _artist_problems,
    _FOLDER: _folder_problems,
    "src.data.images.torchvision_sets.Cifar10": _source_problems("cifar10"),
    "src.data.images.torchvision_sets.Cifar100": _source_problems("cifar100"),
    "src.data.images.torchvision_sets.FashionMnist": _source_problems("fashion_mnist"),
}
