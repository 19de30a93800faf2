"""A device that runs out of memory is the user's to mend: by the size that was too large."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from src.core.errors import FAILED_RUN, UserError

SENTENCES = 3  # of torch's message: what was asked for, the device's size, what is free


@contextmanager
def enough_memory(key: str, value: object, fix: str, alone: bool = False) -> Iterator[None]:
    """Inside, work goes on with `value` of the YAML's `key` at once. Raises UserError if that is too much; `alone` if
    other ranks wait in that work for this one."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = ". ".join(" ".join(str(error).split()).split(". ")[:SENTENCES]).rstrip(".")
        problem = UserError(f"{key}={value}", f"was too much for the device's memory ({reason})",
                            f"{fix}. It may be changed when a run is continued", FAILED_RUN)
        problem.alone = alone
        raise problem from error
