"""The command line of one job: begun afresh, or continued by the run's own ``resume=``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from src.core import results
from src.core.config import command_line
from src.core.config.quoting import in_hydra
from src.core.config.words import key

PROGRAM = (sys.executable, "-m", "src.run")
# Keys that are the sweep's own business; a job does not see them.
SWEEP_KEYS = ("jobs", "sweep_dir", "optimized_metric", "optimized_direction", "resume", "run_dir",
              "hydra/launcher", "hydra/sweeper")
LAST_BYTES = 20_000  # of a log, in which its error is looked for


def is_sweeps_own(override: str) -> bool:
    """Whether an override is about the sweep, not about its jobs."""
    return key(override) in SWEEP_KEYS or key(override).startswith("hydra.")


def command(folder: Path, overrides: Sequence[str], roots: Sequence[str],
            program: Sequence[str] = PROGRAM) -> list[str]:
    """What starts or continues the run in ``folder``, as it is now."""
    first = [*program, *command_line.flags(roots)]
    if (folder / "overrides.txt").is_file() and results.read(folder).get("mode", "train") == "train":
        return [*first, f"resume={in_hydra(str(folder))}"]
    (folder / "metrics.json").unlink(missing_ok=True)  # half an evaluation: there is nothing to continue
    return [*first, *overrides, "hydra.mode=RUN", f"hydra.run.dir={in_hydra(str(folder))}"]


def message(log: Path, code: int) -> str:
    """Why a job failed, in the words that it printed last."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - LAST_BYTES))
            text = re.sub(r"\x1b\[[\d;]*m", "", stream.read().decode(errors="replace"))
    except OSError:
        text = ""
    if "error: " in text:
        return "\n".join(line.strip() for line in text.rpartition("error: ")[2].splitlines() if line.strip())
    if code == -9:
        return "killed by the system (signal 9), often because the memory was full"
    last = [line for line in text.splitlines() if line.strip()]
    return f"ended with code {code}" + (f": {last[-1].strip()}" if last else "")
