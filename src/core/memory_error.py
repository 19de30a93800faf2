"""Running out of device memory as an error that names the size that was too large, which the user can change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from src.core.errors import FAILED_RUN, UserError

SIGNS = ("out of memory", "can't allocate memory")  # of MPS; of the host
SENTENCES = 3  # of torch's message: what was asked for, the device's size, what is free


@contextmanager
def enough_memory(key: str, value: object, fix: str, alone: bool = False) -> Iterator[None]:
    """Inside, work goes on with `value` of the YAML's `key` at once. Raises UserError if that is too much; `alone` if
    other ranks wait in that work for this one."""
    try:
        yield
    except RuntimeError as error:
        if not is_about_memory(error):
            raise
        reason = ". ".join(" ".join(str(error).split()).split(". ")[:SENTENCES]).rstrip(".")
        problem = UserError(f"{key}={value}", f"was too much for the device's memory ({reason})",
                            f"{fix}. It may be changed when the run is continued", FAILED_RUN)
        problem.alone = alone
        raise problem from error


def is_about_memory(error: RuntimeError) -> bool:
    """Whether a device or the host had not enough of it; not all of them have an exception of their own."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)
