"""env.json: which code, packages and machine a run was made with."""

import json
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from src.core import atomic, cores
from src.core.places import ROOT


def write(folder: Path) -> None:
    """Write ``env.json`` into a run folder."""
    atomic.write_text(folder / "env.json", json.dumps(describe(), indent=2) + "\n")


def describe() -> dict[str, Any]:
    """Commit, packages, hardware and Python as plain values."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "dirty": None if commit is None else bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hardware": hardware(),
        "packages": packages(),
    }


def hardware() -> dict[str, Any]:
    """CPU model, usable cores, memory in GiB, and the GPUs that torch sees."""
    memory = psutil.virtual_memory().total
    return {"cpu": cpu_name(), "cores": len(cores.own()), "memory_gib": round(memory / 2**30, 1), "gpus": gpus()}


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
                platform.processor())


def gpus() -> list[str]:
    """Names of the CUDA devices; asks torch only if it is loaded already."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


@cache
def packages() -> dict[str, str]:
    """Every installed distribution and its version."""
    found = {item.metadata["Name"]: item.version for item in metadata.distributions() if item.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
