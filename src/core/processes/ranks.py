"""What the processes of one run tell each other; a run of one process asks nobody.

Small messages travel between the hosts (gloo), whatever the devices use: there a process that has died is noticed at
once, not after the half hour of a GPU's collective. Every function has to be called by all ranks, in the same order;
but not those that send nothing: `number`, `count`, `share`, `largest_share`, `owner` and `named`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from src.core.errors import FAILED_RUN, UserError

PATIENCE = timedelta(hours=6)  # for a rank that lives but is slow, as one with a slow reward
MESSAGE = 2**26  # bytes of gradients that are sent at once
_GONE = ("closed by peer", "reset by peer", "Connection refused", "Broken pipe", "Timed out waiting")
_hosts: dict[int, Any] = {}  # the group of the hosts' messages, by the default group that it was made in


def number() -> int:
    """This process's rank."""
    return dist.get_rank() if _several() else 0


def count() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if _several() else 1


def share(total: int) -> slice:
    """This rank's part of 0 .. total - 1: the ranks' parts follow each other and differ by one at most."""
    return slice(number() * total // count(), (number() + 1) * total // count())


def largest_share(total: int) -> int:
    """The length of the longest of the ranks' parts."""
    return -(-total // count())


def owner(places: Tensor, total: int) -> Tensor:
    """The rank whose part of 0 .. total - 1 each place is in."""
    ends = torch.tensor([(rank + 1) * total // count() for rank in range(count())])
    return torch.bucketize(places, ends, right=True)


def named(name: str) -> str:
    """`name` on rank 0, `name_rank1` on rank 1: for files that no two ranks may share."""
    return f"{name}_rank{number()}" if number() else name


def gathered(item: Any) -> list[Any]:
    """The items of all ranks on all of them; plain values and tensors on the CPU."""
    if not _several():
        return [item]
    items: list[Any] = [None] * count()
    with _all_alive():
        dist.all_gather_object(items, item, group=_host_group())
    return items


def collected(item: Any) -> list[Any]:
    """The items of all ranks on rank 0, nothing elsewhere."""
    if not _several():
        return [item]
    items: list[Any] | None = [None] * count() if number() == 0 else None
    with _all_alive():
        dist.gather_object(item, items, dst=0, group=_host_group())
    return items or []


def from_first(item: Any) -> Any:
    """Rank 0's item on every rank."""
    if not _several():
        return item
    items = [item]
    with _all_alive():
        dist.broadcast_object_list(items, src=0, group=_host_group())
    return items[0]


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Rank 0's values in the tensors of every rank."""
    if not _several():
        return
    meet()
    for tensor in tensors:
        with _all_alive():
            dist.broadcast(tensor, src=0)


def largest(value: int) -> int:
    """The largest of the ranks' numbers."""
    if not _several():
        return value
    found = torch.tensor(value)
    with _all_alive():
        dist.all_reduce(found, op=dist.ReduceOp.MAX, group=_host_group())
    return int(found)


def meet() -> None:
    """Wait until every rank is here. Before a GPU's collective, so that nobody waits there for one that has died."""
    if _several():
        with _all_alive():
            dist.barrier(group=_host_group())


@contextmanager
def together(exchange: Callable[[], AbstractContextManager[Any]] = nullcontext) -> Iterator[None]:
    """A ``UserError`` of any rank inside the block is raised on all of them when the block ends.

    One that is ``alone`` leaves at once: the others are not on their way here. ``exchange`` is entered around what the
    ranks tell each other then, to measure it.
    """
    own: UserError | None = None
    try:
        yield
    except UserError as error:
        if not _several() or error.shared or error.alone:
            raise
        own = error
    with exchange():
        try:
            found = [words for words in gathered(own and own.words) if words]
        except UserError as lost:  # another rank has ended meanwhile; what this one has to say comes first
            raise (own or lost) from None
    if found:
        error = UserError(*found[0])
        error.shared = True
        raise error from own


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up the gradients of all ranks, in place; a rank that has none takes part with zeros."""
    if not _several():
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for gradients in _messages([parameter.grad for parameter in parameters]):
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _all_alive():
            dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))


def disconnect() -> None:
    """At the end of a run: a process that ends with its connections open may be aborted by the threads that serve
    them."""
    if not _several():
        return
    with suppress(RuntimeError):  # one that has failed meanwhile has its own message
        dist.barrier(group=_host_group())  # rank 0 may hold what the others still ask for
    _hosts.clear()
    dist.destroy_process_group()


def _messages(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in turn, as many at a time as fit into a message."""
    message: list[Tensor] = []
    for tensor in tensors:
        if message and sum(item.nbytes for item in message) + tensor.nbytes > MESSAGE:
            yield message
            message = []
        message.append(tensor)
    if message:
        yield message


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _host_group() -> Any:
    key = id(dist.group.WORLD)
    if key not in _hosts:
        _hosts.clear()
        _hosts[key] = dist.new_group(backend="gloo", timeout=PATIENCE)
    return _hosts[key]


def lost_peer(error: BaseException) -> UserError | None:
    """In the user's words what gloo says where the process at the other end is gone; None for any other error."""
    if not (_several() and isinstance(error, RuntimeError) and any(sign in str(error) for sign in _GONE)):
        return None
    reason = " ".join(str(error).split())
    found = UserError("a process of this run has ended", f"the others cannot go on without it ({reason[-120:]})",
                      "its own message says why", FAILED_RUN)
    found.lost = True
    return found


@contextmanager
def _all_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if lost := lost_peer(error):
            raise lost from error
        raise
