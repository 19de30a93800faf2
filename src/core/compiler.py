"""torch.compile: whether this machine can compile what it generates, asked before torch is imported, and how."""

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from src.core.errors import UserError, describe

GRAPHS = "graphs"  # recorded as CUDA graphs too: all kernels of a pass are started at once
NAMES = ("g++", "clang++", "cl")  # of C++ compilers, which torch.compile needs for a CPU and beside Triton too


def problems(key: str, wanted: Any, accelerator: str | None = None) -> list[str]:
    """What is missing for `key=true` or `graphs`: value, rule, fix. Nothing if it is not wanted."""
    if wanted not in (True, GRAPHS):
        return []
    given = os.environ.get("CXX")
    given_key = f"{key}={'true' if wanted is True else wanted}"
    found = [describe(*_no_cuda(key, accelerator))] if wanted == GRAPHS and accelerator == "cpu" else []
    if not any(shutil.which(name) for name in ([given] if given else NAMES)):
        found.append(describe(given_key, f"there is no C++ compiler ({given or ', '.join(NAMES)}) on this machine",
                              f"install one (Debian: apt install g++), name it in CXX, or use {key}=false"))
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        found.append(describe(given_key, "Python's headers are missing (Python.h), and compiled code needs them",
                              f"install them (Debian: apt install python3-dev), or use {key}=false"))
    return found


def _no_cuda(key: str, device: str) -> tuple[str, str, str]:
    return f"{key}={GRAPHS}", f"CUDA graphs need a CUDA device, not {device}", f"use {key}=true, or trainer=gpu"


def compile_in_place(network: Any, wanted: bool | str, key: str, device: Any) -> None:
    """Compile a network if it is wanted; it keeps its names. Raises UserError for CUDA graphs on another device.

    Code for each size of a batch, of which there are few: after a rest, PyTorch would take code for any size, slower
    and useless for graphs, for the full batches too.
    """
    if wanted == GRAPHS and device.type != "cuda":
        raise UserError(*_no_cuda(key, device.type))
    if wanted:
        network.compile(dynamic=False, **({"mode": "reduce-overhead"} if wanted == GRAPHS else {}))
