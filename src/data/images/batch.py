"""What every loader of pictures yields."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Rows of a batch. With several processes the last ones may be padding: the order says how many are real."""

    images: Tensor  # [batch, channels, height, width], float, normalised, channels_last
    labels: Tensor  # [batch], int64
    index: Tensor  # [batch], int64: number in the base training set, or in the split that is evaluated
