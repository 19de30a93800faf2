"""Which files torchvision's data sets need, and where. Pure Python, so that the static check can use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.core.errors import describe


@dataclass(frozen=True)
class Source:
    """Of one data set."""

    folder: str  # below data.root
    files: tuple[str, ...]  # in that folder, unpacked
    packed: tuple[str, ...]  # what they come out of


_IDX = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
SOURCES = {
    "cifar10": Source("cifar-10-batches-py", (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"),
                      ("cifar-10-python.tar.gz",)),
    "cifar100": Source("cifar-100-python", ("train", "test", "meta"), ("cifar-100-python.tar.gz",)),
    "fashion_mnist": Source("FashionMNIST/raw", _IDX, tuple(f"{name}.gz" for name in _IDX)),
}


def missing(name: str, root: Path) -> list[str]:
    """The unpacked files that are not there."""
    source = SOURCES[name]
    return [file for file in source.files if not (root / source.folder / file).is_file()]


def how_to_fill(name: str, root: str, reason: str, download: bool) -> str:
    """What to say when the files of a data set cannot be had: value, rule, fix."""
    source = SOURCES[name]
    folder = Path(root).expanduser().absolute() / source.folder
    fix = f"unpack {', '.join(source.packed)} so that the files are in {folder}"
    if not download:
        fix = f"set data.download=true, or {fix}"
    return describe(f"data={name} data.root={root}", reason, fix)
