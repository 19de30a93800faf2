"""Where new tensors are made while a method loads, and from which random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


def made_on_host() -> AbstractContextManager[object]:
    """Inside, tensors that name no device are made on the CPU, as everywhere else.

    Lightning calls `configure_model` in the training device's context: indices of tables on the CPU would be made on a
    GPU, generators of the CPU refused, and first weights drawn from the GPU's stream instead of the seed's.
    """
    return torch.device("cpu")


@contextmanager
def seeded_on_host(seed: int) -> Iterator[None]:
    """Inside, the CPU's own generator starts from `seed`; afterwards it is as it was before. `torch.manual_seed` would
    seed those of the GPUs too, and nothing would bring them back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
