"""Random generators for one purpose each, so that what one of them draws changes nothing elsewhere."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*purpose: int | str) -> int:
    """A seed in [0, 2^63) from numbers and words, such as (seed, epoch, "crop"): equal on every machine."""
    digest = hashlib.sha256("/".join(map(str, purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*purpose: int | str) -> torch.Generator:
    """A generator on the CPU, seeded by `seed_of`."""
    return torch.Generator().manual_seed(seed_of(*purpose))
