"""Where past predictions live: one interface, five places."""

from __future__ import annotations

from src.methods.pskd.memory.base import Memory
from src.methods.pskd.memory.memmap import MemmapMemory
from src.methods.pskd.memory.sharded import ShardedMemory
from src.methods.pskd.memory.snapshot import SnapshotMemory
from src.methods.pskd.memory.table import TableMemory
from src.methods.pskd.memory.topk import TopMemory


def make(kind: str, top: int) -> Memory:
    """The memory that `method.loss.memory` names."""
    if kind == "topk":
        return TopMemory(top)
    return {"table": TableMemory, "sharded": ShardedMemory, "memmap": MemmapMemory, "snapshot": SnapshotMemory}[kind]()
