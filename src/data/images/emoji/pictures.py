"""`data=emoji`: the embedded pictures, labelled by category or sub-category."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from src.core.errors import UserError, describe, did_you_mean
from src.data.images.memory import MemoryData, Pictures
from src.data.images.rules import insist

FILE = Path(__file__).with_name("emoji.npz")
ARTISTS = ("noto", "twemoji", "fluent")
LABELS = ("category", "subcategory")


class Emoji(MemoryData):
    """Emoji of 32 x 32 pixels by three artists, split by emoji: a test emoji was seen in no artist's drawing."""

    name = "emoji"
    fill = 255  # they lie on white
    mean, std = (0.8107, 0.7612, 0.7245), (0.2860, 0.2817, 0.3265)  # of all training pictures

    def __init__(
        self,
        *,
        label: Literal["category", "subcategory"] = "category",  # 9 or 98 classes
        artists: list[Literal["noto", "twemoji", "fluent"]] | None = None,  # whose drawings; null: all three
        pad: int = 4,  # pixels around a training picture before it is cropped at random; 0: no crop
        flip: bool = True,  # training pictures are mirrored with a chance of one half
        cutout: int = 0,  # side in pixels of a square that is cut out of training pictures; 0: none
    ) -> None:
        """Raises UserError for unknown labels and artists and for numbers out of range."""
        super().__init__(pad=pad, flip=flip, cutout=cutout)
        self.label, self.artists = label, list(ARTISTS if artists is None else artists)
        insist(_unknown("label", [label], LABELS) + _unknown("artists", self.artists, ARTISTS))
        if not self.artists:
            raise UserError("data.artists=[]: there is no artist in it", fix=f"name some of {', '.join(ARTISTS)}")

    def describe(self) -> str:
        """One line for the banner."""
        classes = {"category": "9 categories", "subcategory": "98 sub-categories"}[self.label]
        return f"emoji, {classes}, drawn by {', '.join(self.artists)}; augmented by {self.augmentation}"

    def read(self) -> dict[str, Pictures]:
        """Train, val and test out of the file."""
        with np.load(FILE, allow_pickle=False) as columns:
            table = dict(columns)
        kinds = table[self.label]
        self.classes = list(dict.fromkeys(kinds.tolist()))  # in the standard's order
        of_kind = {kind: number for number, kind in enumerate(self.classes)}
        labels = np.array([of_kind[kind] for kind in kinds.tolist()])
        chosen = np.isin(table["artists"][table["artist"]], self.artists)
        split = table["split"][table["emoji"]]
        return {name: _pictures(table, labels, chosen & (split == name)) for name in ("train", "val", "test")}


def _pictures(table: dict[str, np.ndarray], labels: np.ndarray, chosen: np.ndarray) -> Pictures:
    emoji = table["emoji"][chosen]
    artists, ids = table["artists"][table["artist"][chosen]].tolist(), table["id"][emoji].tolist()
    names = [f"{artist}/{one}" for artist, one in zip(artists, ids, strict=True)]
    return Pictures(torch.from_numpy(table["pictures"][chosen]), torch.from_numpy(labels[emoji]), names)


def _unknown(option: str, given: Sequence[str], known: Sequence[str]) -> list[str]:
    return [describe(f"data.{option}={value}", "there is no such value", did_you_mean(value, known))
            for value in given if value not in known]
