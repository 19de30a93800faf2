"""How much memory a piece of work takes at most, measured while it runs, and how much there is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from src.core import host_memory


def peak_of(work: Callable[[], object], device: torch.device) -> int:
    """Most bytes that `work` holds at once on `device`, over what is held before.

    On a GPU the allocator counts, and `work` is done twice: the first time libraries take workspaces that stay.
    Elsewhere PyTorch's tensors are counted, without what an operation needs inside it.
    """
    if device.type == "cuda":
        work()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with _Living() as tensors:
        work()
    return tensors.most


def free_on(device: torch.device) -> int:
    """Bytes that are free on a GPU, or on the host for every other device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(device)[0]
    return host_memory.free()


class _Living(TorchDispatchMode):
    """Inside, counts the bytes of all tensors that are made and not yet gone; views share what they look at."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.sizes: dict[int, int] = {}  # by a storage's address, for as long as it lives

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(result):
            if storage._cdata not in given and storage._cdata not in self.sizes:
                self._add(storage)
        return result

    def _add(self, storage: Any) -> None:
        self.sizes[storage._cdata] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, storage._cdata).atexit = False

    def _drop(self, address: int) -> None:
        self.now -= self.sizes.pop(address)


def _storages(values: Any) -> list[Any]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]
