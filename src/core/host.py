"""Where new tensors are made while a method loads."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def made_on_host() -> AbstractContextManager[object]:
    """Inside, tensors that name no device are made on the CPU, as everywhere else.

    Lightning calls `configure_model` in the training device's context: indices of tables on the CPU would be made on a
    GPU, generators of the CPU refused, and first weights drawn from the GPU's stream instead of the seed's.
    """
    return torch.device("cpu")
