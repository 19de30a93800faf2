"""Whoever runs out of memory is told by which size."""

from __future__ import annotations

import pytest
import torch

from src.core.errors import UserError
from src.core.memory_error import enough_memory


def test_a_host_that_has_too_little() -> None:
    with pytest.raises(UserError, match=r"method\.rollout_batch=8: was too much .*Lower it"), \
            enough_memory("method.rollout_batch", 8, "lower it"):
        torch.empty(2**58, dtype=torch.uint8)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"), enough_memory("method.rollout_batch", 8, "lower it"):
        torch.ones(2) + torch.ones(3)
