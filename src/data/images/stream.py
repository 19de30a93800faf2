"""Pictures read from files by worker processes, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.data.images.picture_files import Unreadable, as_array, open_picture, refuse
from src.data.images.transforms import Transform, seeded

Key = tuple[str, int, int, int]  # split, number in it, seed, epoch; epoch -1: not augmented


class PictureFiles(Dataset):
    """A picture by its key. All randomness is in the key, so that workers keep no state."""

    def __init__(self, files: Mapping[str, Sequence[Path]], *, train: Transform, evaluation: Transform) -> None:
        """`files`: of each split."""
        self.files, self.train, self.evaluation = files, train, evaluation

    def __getitem__(self, key: Key) -> np.ndarray | str:
        """uint8 [size, size, 3], or what is wrong with the file: an exception would lose its type in a worker."""
        split, number, seed, epoch = key
        try:
            picture = open_picture(self.files[split][number])
        except Unreadable as error:
            return str(error)
        if epoch < 0:
            return as_array(self.evaluation(picture))
        return as_array(seeded(self.train, picture, seed, epoch, number))


class Stream:
    """Worker processes, whatever they are asked for. One epoch at a time."""

    def __init__(self, pictures: PictureFiles, *, workers: int, pin: bool, stay: bool) -> None:
        """`pin`: batches come in pinned memory, for copies to a GPU that nothing waits for. `stay`: the workers live as
        long as this object, not as long as an epoch."""
        self._keys: list[list[Key]] = []
        # The loader draws a seed for its workers; a generator of its own leaves the process's one untouched.
        self._loader = DataLoader(pictures, batch_sampler=self._keys, num_workers=workers, collate_fn=_collate,
                                  pin_memory=pin, persistent_workers=stay and workers > 0,
                                  generator=torch.Generator().manual_seed(0))

    def __call__(self, batches: Sequence[Sequence[Key]]) -> Iterator[Tensor]:
        """uint8 [batch, size, size, 3] of each batch of keys. Raises UserError for a file that cannot be read."""
        self._keys[:] = batches
        for pictures in self._loader:
            if isinstance(pictures, str):
                raise refuse(pictures)
            yield pictures


def _collate(pictures: list[np.ndarray | str]) -> Tensor | str:
    wrong = [one for one in pictures if isinstance(one, str)]
    return wrong[0] if wrong else torch.from_numpy(np.stack(pictures))
