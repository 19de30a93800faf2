"""Tensors as lists, so that == compares their bits."""

from __future__ import annotations

from typing import Any

import torch


def plainly(value: Any) -> Any:
    """The same containers with every tensor as nested lists."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plainly(item) for key, item in value.items()}
    return [plainly(item) for item in value] if isinstance(value, list | tuple) else value
