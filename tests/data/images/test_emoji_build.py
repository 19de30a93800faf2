"""Building the embedded pictures: splits, look-alikes, colours at transparent edges, equal bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.data.images.emoji import build
from src.data.images.emoji.drawings import PACKAGES, small_picture
from src.data.images.emoji.split import join, split_emoji


def test_twins_are_joined_over_others() -> None:
    assert join("abcdef", [("a", "c"), ("d", "e"), ("c", "e")]) == [["a", "c", "d", "e"], ["b"], ["f"]]


def test_shares_and_small_kinds() -> None:
    kinds = {f"{kind}{number}": kind for kind, count in (("big", 500), ("one", 1), ("two", 2), ("mid", 37))
             for number in range(count)}
    split = split_emoji(kinds, [("big0", "big1", "mid0")])
    counts = Counter(split.values())
    assert counts["test"] == pytest.approx(108, abs=1) and counts["val"] == pytest.approx(54, abs=1)
    assert split["one0"] == "train" and "train" in (split["two0"], split["two1"])
    assert split["big0"] == split["big1"] == split["mid0"]
    assert list(split) == list(kinds) and split == split_emoji(kinds, [("big0", "big1", "mid0")])


def test_transparent_pixels_lend_no_colour(tmp_path: Path) -> None:
    drawing = np.zeros((64, 64, 4), np.uint8)  # black, transparent
    drawing[:, :32] = 255, 0, 0, 255
    Image.fromarray(drawing).save(tmp_path / "half.png")
    small = small_picture(tmp_path / "half.png").astype(int)
    assert np.abs(small[:, :14] - (255, 0, 0)).max() <= 2 and small[:, 18:].min() >= 253
    assert small[..., 0].min() >= 253  # from red to white over no darker colour


def test_a_drawing_that_is_not_square_is_not_stretched(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 32), (0, 0, 255, 255)).save(tmp_path / "wide.png")
    small = small_picture(tmp_path / "wide.png").astype(int)
    assert small[:6].min() >= 253 and small[-6:].min() >= 253 and np.abs(small[12:20] - (0, 0, 255)).max() <= 2


def packages(folder: Path) -> Path:
    """Ten emoji of one kind; the last is the first one's mirror picture, and `fluent` lacks one."""
    names = [{"unified": f"1F{n:03}", "image": f"1f{n:03}.png", "name": f"N{n}", "category": "C", "subcategory": "s",
              "sort_order": n} for n in range(9)]
    names.append({**names[0], "unified": "1F000-200D-27A1-FE0F", "image": "1f000-200d-27a1-fe0f.png", "sort_order": 9})
    names.append({**names[0], "unified": "1F3FB", "category": "Component"})
    for artist, place in (("noto", "img/google/64"), ("twemoji", "img/twitter/64"), ("fluent", "assets")):
        pictures = folder / PACKAGES[artist] / place
        pictures.mkdir(parents=True)
        (folder / PACKAGES[artist] / "emoji.json").write_text(json.dumps(names))
        for n, one in enumerate(names[:9 if artist == "fluent" else 11]):
            name = Path(one["image"]).with_suffix(".webp" if artist == "fluent" else ".png").name
            Image.new("RGBA", (64, 64), (20 * n, 5, 5, 255)).save(pictures / name, lossless=True)
    return folder


def test_equal_packages_give_equal_bytes(tmp_path: Path, capsys) -> None:
    source = packages(tmp_path)
    for name in ("one.npz", "two.npz"):
        build.main(["--from", str(source), "--to", str(tmp_path / name)])
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert "29 pictures of 10 emoji" in capsys.readouterr().out
    with np.load(tmp_path / "one.npz", allow_pickle=False) as columns:
        assert columns["split"][0] == columns["split"][9] and "1F3FB" not in columns["id"]
        assert columns["name"][3] == "n3" and columns["pictures"][13, 0, 0].tolist() == [60, 5, 5]


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="emoji-datasource-google"):
        build.main(["--from", str(tmp_path)])
