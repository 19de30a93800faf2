"""Folders of pictures that are read anew in each epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from src.data.images import fingerprint
from src.data.images.augment import Augmentation, draw_views
from src.data.images.base import ImageData
from src.data.images.folder_options import FolderOptions
from src.data.images.folders import Listing
from src.data.images.holdout import hold_out, without
from src.data.images.normalise import Normaliser
from src.data.images.order import Order, deal
from src.data.images.picture_files import as_array, each_picture, open_or_refuse
from src.data.images.rules import insist, option_problems
from src.data.images.stream import PictureFiles, Stream
from src.data.images.stream_loader import PLAIN, StreamLoader
from src.data.images.transforms import training
from src.data.images.workers import MOST, per_process


class FolderStream(ImageData):
    """Read by worker processes. Training pictures are cropped at random in place and scale; see `image_folder`."""

    channels = 3

    def __init__(self, options: FolderOptions, *, min_scale: float, flip: bool, jitter: float, cutout: int,
                 workers: int | None) -> None:
        insist(option_problems({"min_scale": min_scale, "jitter": jitter, "cutout": cutout, "workers": workers,
                                "val_share": options.val_share, "test_share": options.test_share}))
        self.options, self.cutout = options, cutout
        self.min_scale, self.flip, self.jitter = min_scale, flip, jitter
        self.workers = workers
        self.name, self.size, self.mean, self.std = options.name, options.size, options.mean, options.std
        self.scaled_to = options.resize
        self.device: torch.device | None = None
        self._rows: dict[str, tuple[str, Tensor]] = {}  # split: whose files, and the numbers of its pictures in them

    def describe(self) -> str:
        """One line for the banner."""
        parts = [f"crop of at least {self.min_scale:.0%}", "flip" if self.flip else "",
                 f"colour jitter {self.jitter}" if self.jitter else "",
                 f"cutout of {self.cutout} px" if self.cutout else ""]
        how = ", ".join(filter(None, parts))
        workers = f"a worker for each core, at most {MOST}" if self.workers is None else f"{self.workers} workers"
        return f"{self.options}, read by {workers}; augmented by {how}"

    def load(self, device: torch.device) -> None:
        """See `ImageData.load`. Reads the names of the files; with on_unreadable=skip also every picture, once."""
        device = torch.device(device)
        if self.device == device:
            return
        workers = per_process() if self.workers is None else self.workers  # all ranks come here, but one may fail below
        self.classes, listings = self.options.read()
        self._labels = {split: torch.tensor(listing.labels) for split, listing in listings.items()}
        self.labels = self._labels["train"]
        bad = {split: self._unreadable(listing) for split, listing in listings.items()}
        self.candidates, held = hold_out(self.labels, self.options.shares, self.options.split_seed, bad["train"])
        self._rows = {split: (split, without(len(labels), [] if split == "train" else bad[split]))
                      for split, labels in self._labels.items()}
        self._rows |= {split: ("train", rows) for split, rows in held.items()}
        self.fingerprint = fingerprint.of_names(listings["train"].files, self.labels, self.classes)
        self._open(listings, device, workers)

    def _open(self, listings: dict[str, Listing], device: torch.device, workers: int) -> None:
        """Two sets of workers, for training and for evaluation: one may begin before the other has ended. Those of an
        evaluation end with it, so that they do not stand beside the others."""
        self.files = {split: listing.paths() for split, listing in listings.items()}
        pictures = PictureFiles(self.files, train=training(self.size, self.min_scale, self.flip, self.jitter),
                                evaluation=self.options.evaluation())
        self._train, self._eval = (Stream(pictures, workers=workers, pin=device.type == "cuda", stay=stay)
                                   for stay in (True, False))
        self.normalise = Normaliser(self.size, mean=self.mean, std=self.std, device=device)
        self.device = device

    def _unreadable(self, listing: Listing) -> list[int]:
        if self.options.on_unreadable == "error":  # then the epoch that meets one ends with its name
            return []
        return [place for place, made in each_picture(listing.paths(), lambda _: True, "skip") if made is None]

    def size_of(self, split: str) -> int:
        """See `ImageData.size_of`."""
        if split == "train":
            return len(self.candidates)
        return len(self._rows[split][1]) if split in self._rows else 0

    def train_loader(self, order: Order, *, epoch: int, seed: int) -> StreamLoader:
        """See `ImageData.train_loader`."""
        batches = [order.rows(number) for number in range(len(order))]
        rows = torch.cat(batches)
        views = draw_views(Augmentation(0, False, self.cutout), len(self.labels), self.size, seed=seed, epoch=epoch)
        return StreamLoader(self._train, [[("train", row, seed, epoch) for row in batch.tolist()] for batch in batches],
                            labels=self.labels[rows], index=rows, real=order.real, normalise=self.normalise,
                            device=self.device, centre=views.centre[rows], cutout=self.cutout)

    def eval_loader(self, split: str, *, batch_size: int, rank: int = 0, world: int = 1) -> StreamLoader:
        """See `ImageData.eval_loader`."""
        self.need_split(split)
        owner, rows = self._rows[split]
        order = deal(torch.arange(len(rows)), batch_size=batch_size, rank=rank, world=world)
        batches = [rows[order.rows(number)].tolist() for number in range(len(order))]
        return StreamLoader(self._eval, [[(owner, row, 0, PLAIN) for row in batch] for batch in batches],
                            labels=self._labels[owner][rows[order.index]], index=order.index, real=order.real,
                            normalise=self.normalise, device=self.device)

    def files_of(self, split: str) -> list[str]:
        """See `ImageData.files_of`."""
        self.need_split(split)
        owner, rows = self._rows[split]
        return self.options.below_root([self.files[owner][row] for row in rows.tolist()])

    def pictures(self, split: str, index: list[int]) -> Tensor:
        """See `ImageData.pictures`."""
        self.need_split(split)
        owner, rows = self._rows[split]
        scale = self.options.evaluation()
        chosen = [as_array(scale(open_or_refuse(self.files[owner][rows[one]]))) for one in index]
        return torch.stack([torch.from_numpy(one) for one in chosen]).permute(0, 3, 1, 2).contiguous()
