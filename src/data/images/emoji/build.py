"""Makes emoji.npz out of three unpacked packages: python -m src.data.images.emoji.build --from <folder>

README.md beside this file says how to fetch them. Equal packages give an equal file, byte by byte.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.core.errors import UserError
from src.data.images.emoji.drawings import PACKAGES, find_drawing, read_names, small_picture
from src.data.images.emoji.split import SPLITS, split_emoji

FILE = Path(__file__).with_name("emoji.npz")
_FACING_RIGHT = "-200D-27A1-FE0F"  # ends the codepoints of an emoji that is another one's mirror picture


def build(source: Path) -> dict[str, np.ndarray]:
    """The columns of the file.

    One row per picture: `pictures` uint8 [pictures, 32, 32, 3], `artist` and `emoji`, which number the rows of the
    tables `artists` [3] and `id`, `name`, `category`, `subcategory`, `split` [emoji]. Sorted by artist, then emoji.
    """
    names = read_names(source)
    drawn = [(artist, number, small_picture(file)) for artist in range(len(PACKAGES))
             for number, one in enumerate(names)
             if (file := find_drawing(source, list(PACKAGES)[artist], one)) is not None]
    pictures = np.stack([picture for _, _, picture in drawn])
    numbers = np.array([number for _, number, _ in drawn], dtype=np.uint16)
    return {"pictures": pictures, "artist": np.array([artist for artist, _, _ in drawn], dtype=np.uint8),
            "emoji": numbers, "artists": np.array(list(PACKAGES)), **_table(names, pictures, numbers)}


def _table(names: Sequence[dict[str, Any]], pictures: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
    ids = [one["unified"] for one in names]
    split = split_emoji({one["unified"]: one["subcategory"] for one in names},
                        [*look_alikes(pictures, [ids[number] for number in numbers]), *mirrored(ids)])
    columns = {"id": ids, "name": [one["name"].lower() for one in names],
               "category": [one["category"] for one in names], "subcategory": [one["subcategory"] for one in names],
               "split": [split[one] for one in ids]}
    return {key: np.array(column) for key, column in columns.items()}


def look_alikes(pictures: np.ndarray, ids: Sequence[str]) -> Iterator[list[str]]:
    """Lists of the ids of equal pictures, a mirror picture being equal too: flags, families without faces, arrows."""
    same: dict[bytes, list[str]] = defaultdict(list)
    for picture, one in zip(pictures, ids, strict=True):
        same[min(picture.tobytes(), picture[:, ::-1].tobytes())].append(one)
    return (alike for alike in same.values() if len(alike) > 1)


def mirrored(ids: Sequence[str]) -> Iterator[list[str]]:
    """Pairs of an emoji and the same one facing right."""
    return ([one.removesuffix(_FACING_RIGHT), one] for one in ids
            if one.endswith(_FACING_RIGHT) and one.removesuffix(_FACING_RIGHT) in ids)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True, help="folder with the unpacked packages")
    parser.add_argument("--to", dest="target", type=Path, default=FILE, help="file to write")
    chosen = parser.parse_args(arguments)
    try:
        columns = build(chosen.source)
    except UserError as error:
        sys.exit(str(error))
    np.savez_compressed(chosen.target, **columns)
    counts = ", ".join(f"{(columns['split'] == name).sum()} {name}" for name in SPLITS)
    sys.stdout.write(f"{chosen.target}: {len(columns['pictures'])} pictures of {len(columns['id'])} emoji ({counts}), "
                     f"{chosen.target.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
