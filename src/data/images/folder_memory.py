"""Folders of pictures that fit into memory once they are scaled."""

from __future__ import annotations

import torch

from src.data.images.folder_options import FolderOptions
from src.data.images.folders import Listing
from src.data.images.memory import MemoryData, Pictures
from src.data.images.picture_files import as_array, each_picture


class FolderMemory(MemoryData):
    """Read once, scaled and cropped to the middle; augmented like the small sets."""

    def __init__(self, options: FolderOptions, *, pad: int, flip: bool, cutout: int, fill: int) -> None:
        super().__init__(pad=pad, flip=flip, cutout=cutout, val_share=options.val_share, test_share=options.test_share,
                         split_seed=options.split_seed)
        self.options, self.fill = options, fill
        self.name, self.mean, self.std, self.scaled_to = options.name, options.mean, options.std, options.resize

    def describe(self) -> str:
        """One line for the banner."""
        return f"{self.options}, in memory; augmented by {self.augmentation}"

    def read(self) -> dict[str, Pictures]:
        """Every split."""
        self.classes, listings = self.options.read()
        self.files = {split: listing.paths() for split, listing in listings.items()}
        return {split: self._pictures(listing) for split, listing in listings.items()}

    def files_of(self, split: str) -> list[str]:
        """See `ImageData.files_of`."""
        self.need_split(split)
        files = self.files.get(split, self.files["train"])  # a share of training is of its files
        return self.options.below_root([files[row] for row in self.rows_of(split).tolist()])

    def _pictures(self, listing: Listing) -> Pictures:
        size, scale = self.options.size, self.options.evaluation()
        pixels = torch.zeros(len(listing.files), size, size, 3, dtype=torch.uint8)
        unusable = []
        for place, made in each_picture(listing.paths(), lambda one: as_array(scale(one)), self.options.on_unreadable):
            if made is None:
                unusable.append(place)
            else:
                pixels[place] = torch.from_numpy(made)
        return Pictures(pixels, torch.tensor(listing.labels), listing.files, unusable)
