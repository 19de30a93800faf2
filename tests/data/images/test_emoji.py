"""The embedded pictures: split by emoji for every artist, complete, and labelled two ways."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from src.core.errors import UserError
from src.data.images.emoji.pictures import ARTISTS, FILE, Emoji


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    with np.load(FILE, allow_pickle=False) as opened:
        return dict(opened)


@pytest.fixture(scope="module")
def emoji() -> Emoji:
    made = Emoji()
    made.load("cpu")
    return made


def test_what_ships(columns) -> None:
    assert columns["pictures"].shape == (5664, 32, 32, 3) and columns["pictures"].dtype == np.uint8
    assert FILE.stat().st_size < 10e6 and len(set(columns["id"].tolist())) == len(columns["id"]) == 1906
    assert len(set(columns["category"].tolist())) == 9 and len(set(columns["subcategory"].tolist())) == 98
    assert Counter(columns["artists"][columns["artist"]].tolist()) == {"noto": 1906, "twemoji": 1906, "fluent": 1852}


def test_no_emoji_is_in_two_splits_for_any_artist(columns) -> None:
    splits = defaultdict(set)
    for artist, number in zip(columns["artist"], columns["emoji"], strict=True):
        splits[columns["id"][number]].add(str(columns["split"][number]))
        assert artist < 3
    assert all(len(found) == 1 for found in splits.values())


def test_no_picture_of_an_artist_is_in_two_splits_even_mirrored(columns) -> None:
    splits = defaultdict(set)
    for picture, number in zip(columns["pictures"], columns["emoji"], strict=True):
        splits[min(picture.tobytes(), picture[:, ::-1].tobytes())].add(str(columns["split"][number]))
    assert len(splits) < 5664 and all(len(found) == 1 for found in splits.values())


def test_shares_hold_in_every_category(columns) -> None:
    for kind in set(columns["category"].tolist()):
        split = columns["split"][columns["category"] == kind]
        shares = [float((split == name).mean()) for name in ("train", "val", "test")]
        assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.02)
    trained = set(columns["subcategory"][columns["split"] == "train"].tolist())
    assert len(trained) == 98


def test_loaded_sizes_and_statistics(emoji) -> None:
    assert [emoji.size_of(split) for split in ("train", "val", "test")] == [3965, 568, 1131]
    assert (emoji.channels, emoji.size, len(emoji.classes), len(emoji.labels)) == (3, 32, 9, 3965)
    assert emoji.classes[0] == "Smileys & Emotion" and emoji.classes[-1] == "Flags"
    train = emoji.pictures("train", list(range(3965))).double() / 255
    assert train.mean((0, 2, 3)).tolist() == pytest.approx(emoji.mean, abs=1e-3)
    assert train.std((0, 2, 3)).tolist() == pytest.approx(emoji.std, abs=1e-3)
    assert "9 categories" in Emoji().describe()


def test_subcategories_and_artists(emoji) -> None:
    alone = Emoji(label="subcategory", artists=["fluent"])
    alone.load("cpu")
    assert len(alone.classes) == 98 and [alone.size_of(s) for s in ("train", "val", "test")] == [1297, 186, 369]
    assert alone.fingerprint != emoji.fingerprint
    sizes = []
    for artist in ARTISTS:
        one = Emoji(artists=[artist])
        one.load("cpu")
        sizes.append(one.size_of("test"))
        assert one.classes == emoji.classes
    assert sum(sizes) == emoji.size_of("test")


def test_padding_shows_the_white_that_pictures_lie_on(emoji) -> None:
    store = emoji._splits["train"].store
    assert (store.pixels.view(-1, 40, 40, 3)[:, :4] == 255).all()


@pytest.mark.parametrize(("options", "told"), [
    ({"label": "colour"}, "data.label=colour"),
    ({"artists": ["nota"]}, "Did you mean noto"),
    ({"artists": []}, "no artist"),
    ({"pad": -1}, "data.pad=-1"),
    ({"cutout": -2}, "data.cutout=-2"),
])
def test_bad_options(options, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Emoji(**options)


def test_loading_twice_reads_once(emoji) -> None:
    labels = emoji.labels
    emoji.load(torch.device("cpu"))
    assert emoji.labels is labels
