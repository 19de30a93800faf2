"""A number that says whether two training sets are the same, sample by sample."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from torch import Tensor


def of_names(names: Sequence[str], labels: Tensor, classes: Sequence[str]) -> str:
    """From the samples' names, in order, and the names of their classes; sha256 as hex."""
    digest = hashlib.sha256()
    for name, label in zip(names, labels.tolist(), strict=True):
        digest.update(f"{name}\t{label}\t{classes[label]}\n".encode())
    return digest.hexdigest()


def of_pictures(pictures: Tensor, labels: Tensor, classes: Sequence[str]) -> str:
    """From the pixels of samples without names; uint8 [N, ...] on the CPU."""
    digest = hashlib.sha256("\t".join(classes).encode())
    digest.update(memoryview(pictures.contiguous().view(-1).numpy()))
    digest.update(memoryview(labels.contiguous().numpy()))
    return digest.hexdigest()
