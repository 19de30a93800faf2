"""metrics.json: what the run was, how it ended, its figures."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from src.core import atomic
from src.core.console import is_main_process

EVALUATED_AS = "evaluated_as"  # what the figures from before training were made with, besides the weights
Status = Literal["running", "finished", "interrupted", "failed"]


class Results:
    """Figures of one run, saved after each epoch and at the end. ``seconds`` adds up over continuations."""

    def __init__(self, folder: Path, method: str, seed: int, mode: str, command: str) -> None:
        self.file = folder / "metrics.json"
        self.head: dict[str, Any] = {"method": method, "status": "running", "seconds": 0.0, "command": command,
                                     "seed": seed, "mode": mode}
        self.figures: dict[str, float] = {}
        self._started = time.monotonic()
        self._earlier = 0.0

    def continue_from(self, earlier: Mapping[str, Any]) -> None:
        """Take over seconds, the figures of the evaluation before training and what that was made with."""
        self._earlier = float(earlier.get("seconds") or 0.0)
        self.head |= {name: earlier[name] for name in (EVALUATED_AS,) if name in earlier}
        self.figures = {key: value for key, value in earlier.items()
                        if key.endswith("_before") and isinstance(value, int | float)}

    @property
    def seconds(self) -> float:
        """Seconds of this run, earlier parts included."""
        return self._earlier + time.monotonic() - self._started

    def add(self, figures: Mapping[str, float], suffix: str = "") -> None:
        """Merge figures; ``suffix`` is ``_before``, ``_after`` or nothing."""
        self.figures.update({f"{name}{suffix}": float(value) for name, value in figures.items()})

    def save(self, status: Status) -> None:
        """Write the file in one step. Figures that are not finite become null, as JSON has no NaN."""
        if not is_main_process():
            return
        self.head.update(status=status, seconds=round(self.seconds, 3))
        figures = {name: value if math.isfinite(value) else None for name, value in self.figures.items()}
        atomic.write_text(self.file, json.dumps({**self.head, **figures}, indent=2) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """The content of a run's metrics.json; empty if there is none or it is damaged."""
    try:
        content = json.loads((folder / "metrics.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
