"""Between ranks: every rank sends the rows it wrote in this epoch to all others, once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import LongTensor, Tensor

CHUNK = 2**26  # bytes of one message: what is received beside the table stays small


def share_rows(tables: Sequence[Tensor], mine: Tensor, world: int) -> None:
    """Bring tables [N, ...] up to date on all ranks; `mine` [N] marks the rows that this rank wrote.

    No row may be marked on two ranks. Ranks may have different numbers of rows, also none.
    """
    if world == 1:
        return
    index = mine.nonzero().squeeze(1)
    counts = all_counts(len(index), world, index.device)
    indices = [index.new_empty(count) for count in counts]
    for rank, part, places in pieces(index, counts):
        indices[rank][part] = places
    own = dist.get_rank()
    for table in tables:
        for rank, part, rows in pieces(table[index], counts):
            if rank != own:
                table[indices[rank][part]] = rows


def all_counts(count: int, world: int, device: torch.device) -> list[int]:
    """How many rows each rank has."""
    counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([count], device=device))
    return [int(item) for item in counts]


def pieces(rows: Tensor, counts: Sequence[int]) -> Iterator[tuple[int, slice, Tensor]]:
    """Every rank's rows [n_rank, ...] on every rank: whose, which of them, and they, at most `CHUNK` bytes at a time.

    The last piece is padded to the largest n on its way. All ranks take all pieces.
    """
    carried = rows.view(torch.float16) if rows.dtype == torch.int16 else rows  # bits; no backend sends int16
    # Of a row's shape, not of a row: a rank that has none has to take as many pieces as the others.
    most, width = max(counts), math.prod(carried.shape[1:]) * carried.element_size()
    piece = max(CHUNK // width, 1)
    for start in range(0, most, piece):
        length = min(piece, most - start)
        block = carried.new_zeros((length, *carried.shape[1:]))
        part = carried[start : start + length]
        block[: len(part)] = part
        received = [torch.empty_like(block) for _ in counts]
        dist.all_gather(received, block)
        for rank, item in enumerate(received):
            real = max(min(counts[rank] - start, length), 0)
            yield rank, slice(start, start + real), item[:real].view(rows.dtype)


def redistribute(rows: Tensor, sends: Sequence[LongTensor], receives: Sequence[int]) -> Tensor:
    """`sends[r]`: places in `rows` [n, ...] that go to rank r; `receives[r]`: how many come from it. All ranks' rows,
    one rank after the other."""
    outgoing = torch.cat([rows[place] for place in sends])
    incoming = rows.new_empty((sum(receives), *rows.shape[1:]))
    dist.all_to_all_single(incoming, outgoing, list(receives), [len(place) for place in sends])
    return incoming
