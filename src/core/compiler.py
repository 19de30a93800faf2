"""Whether this machine can compile what torch.compile generates; asked before torch is imported."""

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from src.core.errors import describe

NAMES = ("g++", "clang++", "cl")  # of C++ compilers, which torch.compile needs for a CPU and beside Triton too


def problems(key: str, wanted: Any) -> list[str]:
    """What is missing for `key=true`: value, rule, fix. Nothing if it is not wanted."""
    if wanted is not True:
        return []
    given = os.environ.get("CXX")
    found = []
    if not any(shutil.which(name) for name in ([given] if given else NAMES)):
        found.append(describe(f"{key}=true", f"there is no C++ compiler ({given or ', '.join(NAMES)}) on this machine",
                              f"install one (Debian: apt install g++), name it in CXX, or use {key}=false"))
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        found.append(describe(f"{key}=true", "Python's headers are missing (Python.h), and compiled code needs them",
                              f"install them (Debian: apt install python3-dev), or use {key}=false"))
    return found
