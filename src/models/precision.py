"""What a device can do with half precision: asked before weights are loaded."""

from __future__ import annotations

import torch

from src.core.errors import UserError

NATIVE = 8.0  # compute capability from which a CUDA device computes bfloat16 itself


def refuse_unfit(dtype: torch.dtype, device: torch.device, key: str, instead: str) -> None:
    """Raises UserError where `device` has no arithmetic for `dtype`.

    PyTorch calls bfloat16 supported on older GPUs too: it converts to float32 and back, and some convolutions of cuDNN
    are missing.

    Args:
        key: the YAML's key that chose `dtype`.
        instead: what to set instead of bfloat16, as the end of a sentence.
    """
    if dtype == torch.float16 and device.type == "cpu":
        raise UserError(f"{key}={_name(dtype)}", "a CPU has no fast float16",
                        f"use {key}=float32 or bfloat16, or trainer=gpu")
    if dtype != torch.bfloat16 or device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False):
        return
    major, minor = torch.cuda.get_device_capability(device)
    raise UserError(f"{key}={_name(dtype)}", f"{torch.cuda.get_device_name(device)} has no bfloat16 of its own "
                    f"(compute capability {major}.{minor}, it needs {NATIVE})", instead)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
