"""Finds where a loop would wait for its device, without having one.

Tensors on the meta device have no values: whatever asks for one (`item`, `bool`, `cpu`, a boolean mask, `nonzero`)
raises there. What goes the other way is counted: `Transfers` notes each copy of a host tensor to the device, which
makes the host wait too unless its memory is pinned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
BUILDERS = (torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor)  # they copy below dispatch


class Transfers(TorchDispatchMode):
    """Names of the operators inside it that took host tensors with values to the device; 0-d ones are arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.builders = _Builders(self.found)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        given = _tensors((args, kwargs))
        copy = func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_)
        on_host = [item for item in given if item.device.type == "cpu" and (item.dim() or copy)]
        if on_host and any(item.device == META for item in (*given, *_tensors(result))):
            self.found.append(str(func))
        return result

    def __enter__(self) -> Transfers:
        self.builders.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.builders.__exit__(*error)


class _Builders(TorchFunctionMode):
    """Sees tensors that are made of Python's numbers on the device."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        if func in BUILDERS and result.device == META:
            self.found.append(func.__name__)
        return result


def _tensors(value: Any) -> list[torch.Tensor]:
    return [item for item in tree_leaves(value) if isinstance(item, torch.Tensor)]
