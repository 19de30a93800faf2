"""Keyed, stateless random numbers: every number is a function of its key and of nothing else.

A trunk's noise is keyed by (seed, stage, slot, branch, step): a picture does not depend on the batch it was drawn in,
on how slots were dealt to ranks, or on what was drawn before; a resumed run cannot repeat or skip a stream.

Generator: Philox4x32-10 (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011), vectorised in int64.
"""

import math
from collections.abc import Sequence

import torch
from torch import LongTensor, Tensor

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
# One key per use: the same (seed, stage, ...) never yields related numbers for two purposes.
_NORMAL, _INTEGER, _PERMUTATION = 0, 1, 2

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Four random 32-bit words for each 128-bit counter.

    Args:
        counter: four int64 tensors with values in [0, 2^32), broadcast against each other.
        key: two integers in [0, 2^32).

    Returns:
        Four int64 tensors with values in [0, 2^32).
    """
    a, b, c, d = counter
    key_0, key_1 = key
    for _ in range(_ROUNDS):
        # The products wrap modulo 2^64 into int64; masking after the arithmetic shift makes the shift a logical one.
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, c = ((second >> 32) & _WORD) ^ b ^ key_0, ((first >> 32) & _WORD) ^ d ^ key_1
        b, d = second & _WORD, first & _WORD
        key_0, key_1 = (key_0 + _WEYL[0]) & _WORD, (key_1 + _WEYL[1]) & _WORD
    return a, b, c, d


def keyed_normal(
    shape: Sequence[int],
    *,
    seed: int,
    stage: int,
    slots: LongTensor,
    branches: LongTensor,
    step: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normal noise, one block of `shape` per (slot, branch).

    Args:
        shape: shape of one row, such as [channels, height, width].
        seed: the run's seed; its lowest 48 bits count.
        stage: stage number; negative numbers are streams of their own (say, for evaluation).
        slots: [B] global trunk numbers.
        branches: [B] branch numbers in [-1, 65534]; -1 is the trunk.
        step: denoising step in [-1, 65534]; -1 is the initial noise.
        device: where the noise is made.

    Returns:
        float32 [B, *shape], the same on every device up to the rounding of its log, cos and sin.
    """
    size = math.prod(shape)
    blocks = torch.arange(-(-size // 4), device=device)[None]
    slots = slots.to(device)[:, None] & _WORD
    place = (((step + 1) & 0xFFFF) << 16) | ((branches.to(device)[:, None] + 1) & 0xFFFF)
    words = philox((blocks, slots, _scalar(stage, device), place), _key(seed, _NORMAL))
    normal = torch.stack(_box_muller(words), dim=-1)  # [rows, blocks, 4]
    return normal.flatten(1)[:, :size].reshape(-1, *shape)


def keyed_uniform_int(
    high: int, count: int, *, seed: int, stage: int, stream: int = 0, device: torch.device | str = "cpu"
) -> LongTensor:
    """`count` integers drawn uniformly from [0, high) with replacement, such as the prompts of a stage: int64 [count].

    The i-th number does not depend on `count`. The bias is below high / 2^32.
    """
    word, *_ = _index_words(count, seed, stage, stream, _INTEGER, device)
    return (word * high) >> 32


def keyed_permutation(
    count: int, *, seed: int, stage: int, stream: int = 0, device: torch.device | str = "cpu"
) -> LongTensor:
    """A uniformly drawn order of 0 .. count - 1 (int64 [count]); `stream` tells inner epochs apart."""
    high, low, *_ = _index_words(count, seed, stage, stream, _PERMUTATION, device)
    return torch.argsort((high << 31) ^ low, stable=True)


def _index_words(count: int, seed: int, stage: int, stream: int, purpose: int, device: torch.device | str) -> Words:
    index = torch.arange(count, device=device)
    counter = (index, _scalar(0, device), _scalar(stage, device), _scalar(stream, device))
    return philox(counter, _key(seed, purpose))


def _box_muller(words: Words) -> Words:
    """Four normals from four words (Box and Muller, 1958)."""
    # In double precision, so that float32 results agree between vector widths and devices; Apple's GPUs have none.
    dtype = torch.float32 if words[0].device.type == "mps" else torch.float64
    radius_1, radius_2 = (((word.to(dtype) + 0.5) / 2**32).log().mul(-2).sqrt() for word in words[::2])
    angle_1, angle_2 = (word.to(dtype) * (2 * math.pi / 2**32) for word in words[1::2])
    normals = radius_1 * angle_1.cos(), radius_1 * angle_1.sin(), radius_2 * angle_2.cos(), radius_2 * angle_2.sin()
    return tuple(normal.float() for normal in normals)


def _key(seed: int, purpose: int) -> tuple[int, int]:
    return seed & _WORD, ((seed >> 32) & 0xFFFF) | (purpose << 16)


def _scalar(value: int, device: torch.device | str) -> Tensor:
    return torch.full((1,), value & _WORD, dtype=torch.int64, device=device)
