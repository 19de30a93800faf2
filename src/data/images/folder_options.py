"""What can be said about a folder of pictures, in memory or streamed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.core.places import local_path
from src.data.images.folders import Listing
from src.data.images.picture_files import OnUnreadable
from src.data.images.splits import find_splits, read_listings
from src.data.images.telling import tell
from src.data.images.transforms import Transform, evaluation


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """The arguments of `image_folder` that both kinds share; see there."""

    root: str
    name: str
    train: str
    val: str | None
    test: str | None
    size: int
    resize: int
    val_share: float
    test_share: float
    split_seed: int
    on_unreadable: OnUnreadable
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shares(self) -> dict[str, float]:
        """Of train, held out as another split."""
        return {"val": self.val_share, "test": self.test_share}

    def read(self) -> tuple[list[str], dict[str, Listing]]:
        """Classes and pictures of each split; what is odd about them is told. Raises UserError."""
        names = {"train": self.train, "val": self.val, "test": self.test}
        splits = find_splits(self.root, names, self.shares)
        classes, listings = read_listings(splits)
        tell(listings, classes, None if self.val_share or "val" in splits else self.val)
        return classes, listings

    def below_root(self, files: Sequence[Path]) -> list[str]:
        """Their names as they are told: from `root` on."""
        return [os.path.relpath(file, local_path(self.root)) for file in files]

    def evaluation(self) -> Transform:
        """How pictures are brought to one size where there is no augmentation."""
        return evaluation(self.size, self.resize)

    def __str__(self) -> str:
        shares = [f"{share:.0%} for {split}" for split, share in self.shares.items() if share]
        held = f", of training held out: {', '.join(shares)}" if shares else ""
        return f"{self.name} in {self.root}{held}, {self.size} x {self.size}"
