"""How long a user waits before anything is trained: fresh processes, started one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence

from src.bench.timing import Result, compared, skipped
from src.core.places import ROOT

REPEATS = 5
FIRST_STEP = "src.bench.first_step"


def cases(overrides: Sequence[str]) -> Iterator[Result]:
    """Each against `import torch` alone, which nothing here can be faster than once it trains."""
    torch_alone = ("import torch", started("-c", "import torch"))
    waits = {
        "start: --help": ("-m", "src.run", "--help"),
        "start: a wrong option is answered": ("-m", "src.run", "method=b2difurl"),
        "start: import lightning": ("-c", "import lightning"),
        "start: import diffusers' pipeline": ("-c", "from diffusers import StableDiffusionPipeline"),
        "start: B2-DiffuRL's first update": ("-m", FIRST_STEP, "method=b2diffurl", *overrides),
        "start: PS-KD's first step": ("-m", FIRST_STEP, "method=pskd", *overrides),
    }
    for name, arguments in waits.items():
        try:
            yield compared(name, "start", (" ".join(("python", *arguments)), started(*arguments)), torch_alone,
                           repeats=REPEATS, limit=120.0)
        except subprocess.CalledProcessError as error:
            yield skipped(name, f"exit code {error.returncode}: {error.stderr.strip().splitlines()[-1]}")


def started(*arguments: str, wrong: int = 2):
    """Runs Python with these arguments from the project's root; an answer to bad input is no failure."""
    def work() -> None:
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode not in (0, wrong):
            raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr)

    return work
