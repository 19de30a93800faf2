"""Between ranks: every rank sends the rows it wrote in this epoch to all others, once."""

from __future__ import annotations

from collections.abc import Sequence

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
    indices = gathered(index, counts)
    own = dist.get_rank()
    for table in tables:
        for rank, rows in enumerate(gathered(table[index], counts)):
            if rank != own:
                table[indices[rank]] = rows


def all_counts(count: int, world: int, device: torch.device) -> list[int]:
    """How many rows each rank has."""
    counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([count], device=device))
    return [int(item) for item in counts]


def gathered(rows: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """Rows [n_rank, ...] of every rank on every rank; sent padded to the largest n, in pieces of `CHUNK` bytes."""
    most, width = max(counts), max(rows[:1].nbytes, 1)
    piece = max(CHUNK // width, 1)
    found: list[list[Tensor]] = [[] for _ in counts]
    for start in range(0, most, piece):
        length = min(piece, most - start)
        block = rows.new_zeros((length, *rows.shape[1:]))
        part = rows[start : start + length]
        block[: len(part)] = part
        received = [torch.empty_like(block) for _ in counts]
        dist.all_gather(received, block)
        for rank, item in enumerate(received):
            found[rank].append(item[: max(min(counts[rank] - start, length), 0)])
    return [torch.cat(items) if items else rows[:0] for items in found]


def redistribute(rows: Tensor, sends: Sequence[LongTensor], receives: Sequence[int]) -> Tensor:
    """`sends[r]`: places in `rows` [n, ...] that go to rank r; `receives[r]`: how many come from it. All ranks' rows,
    one rank after the other."""
    outgoing = torch.cat([rows[place] for place in sends])
    incoming = rows.new_empty((sum(receives), *rows.shape[1:]))
    dist.all_to_all_single(incoming, outgoing, list(receives), [len(place) for place in sends])
    return incoming
