"""A device that is not there: tensors say `pretend:0`, their numbers are computed on the CPU.

It refuses what a GPU refuses (tensors of two devices in one operation, a generator of another device, `numpy()`), and
counts where the host waits for the device. PyTorch marks its way for backends in Python as experimental. Loading this
module changes the whole process.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_iter, tree_map_only

SOURCE = str(Path(__file__).parents[2] / "src")
CPU = torch.device("cpu")
aten = torch.ops.aten
# Operations whose result has as many rows as its numbers say, so that the host has to know them.
SIZED = {aten.nonzero.default, aten.masked_select.default, aten._unique2.default, aten.unique_dim.default,
         aten.unique_consecutive.default, aten.bincount.default, aten.repeat_interleave.Tensor}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
MASKS = (torch.bool, torch.uint8)

# Functions that call themselves loops: of the project, and Lightning's over batches.
LOOPS = {("sampling.py", "rollout"), ("update.py", "replayed"), ("reference.py", "with_reference"),
         ("updating.py", "training_step"), ("training_epoch_loop.py", "advance")}

waits: Counter[str] = Counter()  # "<loop or nothing>: <what> in <file> <function>": how often


class Pretend(torch.Tensor):
    """A tensor on the device; `host` is the one on the CPU that has its numbers."""

    host: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host: torch.Tensor, requires_grad: bool = False, **_: Any) -> torch.Tensor:
        if host.is_meta:  # accelerate makes a parameter of what it has moved
            return torch.nn.Parameter(host, requires_grad)
        made = torch.Tensor._make_wrapper_subclass(cls, host.size(), strides=host.stride(), dtype=host.dtype,
                                                   storage_offset=host.storage_offset(), device=DEVICE)
        made.host = host
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        """Everything is done in `__new__`."""

    def __repr__(self, **_: Any) -> str:
        return f"Pretend({self.host})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.host.__reduce_ex__(protocol)

    def tolist(self) -> Any:
        _waits("tolist")
        return self.host.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"{DEVICE} tensor has no numpy(): use .cpu() first")

    @classmethod
    def __torch_dispatch__(cls, operation: Any, _: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        return computed(operation, *args, **kwargs or {})


def computed(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """What the operation gives, on the CPU, and where its result belongs. Raises RuntimeError as a GPU would."""
    tensors = [item for item in tree_iter((args, kwargs)) if isinstance(item, torch.Tensor)]
    of_device = [tensor for tensor in tensors if isinstance(tensor, Pretend)]
    asked = kwargs.get("device")
    here = torch.device(asked) == DEVICE if asked is not None else bool(of_device) or not tensors
    _refuse(operation, tensors, of_device, kwargs.get("generator"))
    _count(operation, args, kwargs, here, bool(of_device))
    plain, named = tree_map_only(Pretend, lambda tensor: tensor.host, (args, kwargs))
    result = operation(*plain, **named | ({"device": CPU} if asked is not None else {}))
    if not here:
        return result
    result = tree_map_only(torch.Tensor, Pretend, result)
    return return_and_correct_aliasing(operation, args, kwargs, result) if of_device and _aliases(operation) else result


@cache
def _aliases(operation: Any) -> bool:
    """Whether it gives one of its arguments back, or a view of one."""
    return any(given.alias_info is not None for given in operation._schema.returns)


def _refuse(operation: Any, tensors: list[torch.Tensor], of_device: list[Pretend], chance: Any) -> None:
    if of_device and chance is not None:
        raise RuntimeError(f"{operation}: a generator of {chance.device} for {DEVICE}")
    others = [tensor for tensor in tensors if not isinstance(tensor, Pretend) and tensor.dim()]
    if of_device and others and operation is not aten.copy_.default:
        if operation in INDEXING and isinstance(tensors[0], Pretend):
            return _waits("host-index")
        raise RuntimeError(f"{operation}: {DEVICE} {tuple(of_device[0].shape)} with the CPU's {tuple(others[0].shape)}")
    return None


def _count(operation: Any, args: tuple, kwargs: dict[str, Any], here: bool, any_of_device: bool) -> None:
    """Whether the host has to wait until the device has come so far."""
    copied = operation is aten.copy_.default
    to_host = copied and not isinstance(args[0], Pretend)
    moved = operation is aten._to_copy.default and here and not any_of_device
    filled = copied and isinstance(args[0], Pretend) and not isinstance(args[1], Pretend) and args[1].dim()
    if (moved or filled) and not (kwargs.get("non_blocking") or args[2:] == (True,)):
        _waits("upload")  # in the middle of what the device has to do, unless it may come later
    if operation is aten._local_scalar_dense.default or operation is aten.equal.default:
        _waits("item")
    elif any_of_device and (operation in SIZED or to_host or not here):
        _waits(operation.overloadpacket.__name__)
    elif operation in INDEXING and any(index is not None and index.dtype in MASKS for index in args[1]):
        _waits("mask")


def _waits(what: str) -> None:
    """Notes the innermost function of `src` that is being called, and the loop around it."""
    place, loop, frame = "", "", sys._getframe(1)
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file.startswith(SOURCE) and not place:
            place = f"{file[len(SOURCE) + 1:]} {name}"
        if not loop and (Path(file).name, name) in LOOPS:
            loop = name
        frame = frame.f_back
    waits[f"{loop}: {what} in {place}"] += 1


class Factories(TorchFunctionMode):
    """Inside, what makes a tensor of no other one makes it on the device too: in one piece, where `computed` would see
    it grow, and wherever PyTorch does it without asking."""

    OF_NUMBERS = (torch.tensor, torch.as_tensor, torch.asarray)

    def __torch_function__(self, function: Any, _: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        given = kwargs or {}
        asked = given.get("device")
        if asked is None or torch.device(asked) != DEVICE or any(isinstance(item, torch.Tensor) for item in args):
            return function(*args, **given)
        if given.get("generator") is not None:
            raise RuntimeError(f"{function.__name__}: a generator of {given['generator'].device} for {DEVICE}")
        made = function(*args, **given | {"device": CPU})
        if function in self.OF_NUMBERS:
            return made.to(DEVICE)
        return Pretend(made.detach()).requires_grad_(made.requires_grad)


class _Backend(backend_registration._DummyBackendModule):
    """What PyTorch and Lightning ask of `torch.pretend`."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, _: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, *_: Any) -> None:
        """The device has no generator of its own."""


backend_registration._setup_privateuseone_for_python_backend("pretend", backend_module=_Backend())
DEVICE = torch.device("pretend:0")
LIBRARY = torch.library.Library("_", "IMPL")
LIBRARY.fallback(computed, "PrivateUse1")
LIBRARY.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")  # autocast changes nothing here
