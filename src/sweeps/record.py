"""sweep.json: what a sweep is, its jobs, and how far each of them came."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from src.core import atomic, results
from src.core.errors import UserError
from src.core.runfolder import SWEEP_FILE
from src.sweeps.space import Values

Status = Literal["waiting", "running", "finished", "failed", "interrupted"]
LONGEST_NAME = 100  # characters of a job's folder


@dataclass
class Job:
    """One run of a sweep: the values it is given, the name of its folder, how it stands, why it failed."""

    number: int
    values: Values
    folder: str
    status: Status = "waiting"
    message: str = ""

    @property
    def overrides(self) -> list[str]:
        return [f"{key}={value}" for key, value in self.values.items()]


@dataclass
class Record:
    """A sweep. ``overrides``: as typed; ``base``: those that every job has; ``complete``: nothing is left to do;
    ``space``: what varies, None in records of earlier versions."""

    overrides: list[str]
    base: list[str]
    roots: list[str]
    kind: str
    metric: str | None = None
    direction: str | None = None
    complete: bool = False
    jobs: list[Job] = field(default_factory=list)
    space: dict[str, str] | None = None

    def job(self, values: Values, number: int | None = None) -> Job:
        """The job with these values (and this number, if one is given), added if there is none."""
        for job in self.jobs:
            if job.values == values and number in (None, job.number):
                return job
        number = max((job.number for job in self.jobs), default=-1) + 1 if number is None else number
        self.jobs.append(Job(number, values, folder_name(number, values)))
        return self.jobs[-1]

    def refresh(self, folder: Path) -> None:
        """Take each job's state from its own folder: it may have gone on after the sweep had ended."""
        for job in self.jobs:
            status = results.read(folder / job.folder).get("status")
            if status == "finished":
                job.status, job.message = "finished", ""
            elif job.status in ("running", "finished"):
                job.status = "interrupted" if status else "waiting"

    def save(self, folder: Path) -> None:
        """Write the file in one step."""
        atomic.write_text(folder / SWEEP_FILE, json.dumps(asdict(self), indent=1) + "\n")


def load(folder: Path) -> Record:
    """The record of a sweep's folder. Raises ``UserError`` if there is none or it is damaged."""
    try:
        content: dict[str, Any] = json.loads((folder / SWEEP_FILE).read_text())
        content["jobs"] = [Job(**job) for job in content["jobs"]]
        return Record(**content)
    except OSError as error:
        raise UserError(folder, f"this is not a sweep's folder (it has no {SWEEP_FILE})",
                        "give a folder below outputs/sweeps") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(folder / SWEEP_FILE, f"the file is damaged ({error})", "start the sweep anew") from error


def folder_name(number: int, values: Values) -> str:
    """``03_lr-0.1_seed-0``: sorts by number, tells the values, and holds nothing that Hydra would read as syntax."""
    names = short_names(list(values))
    parts = [f"{names[key]}-{re.sub(r'[^a-zA-Z0-9_.+-]+', '-', value).strip('-')}" for key, value in values.items()]
    text = re.sub(r"[^a-zA-Z0-9_.+-]", "-", "_".join([f"{number:03d}", *parts]))
    return text[:LONGEST_NAME].rstrip(".-_")


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key's last part, or as many parts as tell it from the others."""
    plain = {key: key.lstrip("+~").split("@")[0] for key in keys}
    found = {}
    for key, text in plain.items():
        parts = text.split(".")
        tails = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [other for other in plain.values() if other != text]
        found[key] = next((tail for tail in tails
                           if not any(other == tail or other.endswith(f".{tail}") for other in others)), text)
    return found
