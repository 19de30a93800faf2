"""The jobs of a sweep as rows: what each was given, how it ended, all its figures. results.csv is written here."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.core import atomic, results, runfolder
from src.core.config import words
from src.core.errors import UserError
from src.core.runfolder import SWEEP_FILE
from src.sweeps import record as records
from src.sweeps.default_metric import Aim, names_of, unknown, usual_of
from src.sweeps.objective import direction_of, figures, objective
from src.sweeps.record import Job, Record
from src.sweeps.space import Values

FILE = "results.csv"


@dataclass(frozen=True)
class Row:
    """One job. ``objective``: the figure to sort by; None if it has not finished or lacks it."""

    number: int
    folder: str
    values: Values
    seed: int | None
    status: str
    seconds: float | None
    figures: dict[str, float]
    objective: float | None
    message: str = ""

    @property
    def setting(self) -> tuple[tuple[str, str], ...]:
        """What the job was given besides its seed: rows of one setting are repetitions."""
        return tuple((key, value) for key, value in self.values.items() if key != "seed")


@dataclass(frozen=True)
class Rows:
    """A sweep's rows with the figure that they are judged by. ``why``: it is this one, where none was named;
    ``fault``: why no row is judged."""

    rows: list[Row]
    metric: str | None
    direction: str
    kind: str
    why: str = ""
    fault: UserError | None = None

    @property
    def keys(self) -> list[str]:
        """The keys that vary, without the seed."""
        return list(dict.fromkeys(key for row in self.rows for key in row.values if key != "seed"))

    def better(self, value: float) -> float:
        """A number that is smaller for better values."""
        return -value if self.direction == "maximize" else value


def read(folder: Path, metric: str | None = None, direction: str | None = None) -> Rows:
    """The rows of a sweep's folder, or of any folder with runs in it.

    Raises ``UserError`` if there are none, or no finished one has ``metric``; if none has the figure that the sweep
    itself names, the rows come with that ``fault``.
    """
    record = records.load(folder) if (folder / SWEEP_FILE).is_file() else _found(folder)
    record.refresh(folder)
    if not record.jobs:
        raise UserError(folder, "no job of this sweep has begun", "go on with it: resume=<folder>")
    if metric is None and direction is None:
        direction = record.direction
    finished = [folder / job.folder for job in record.jobs if job.status == "finished"]
    named = metric or record.metric
    aim = Aim(named) if named else usual_of(finished)
    rows = [_row(folder, job, results.read(folder / job.folder), aim.metric) for job in record.jobs]
    fault = None
    if aim.metric and finished and all(row.objective is None for row in rows):
        fault = unknown("--metric " if metric else "optimized_metric=", aim.metric, names_of(finished))
    if metric and fault:
        raise fault
    return Rows(rows, aim.metric, direction or (direction_of(aim.metric) if aim.metric else "maximize"), record.kind,
                aim.why, fault)


def unrepeated(rows: Iterable[Row]) -> list[Row]:
    """One row for each setting and seed: of copies the last that has the figure. Rows without a seed all count."""
    kept: dict[object, Row] = {}
    for row in rows:
        place = (row.setting, row.seed) if row.seed is not None else row.number
        if row.objective is not None or place not in kept:
            kept[place] = row
    return list(kept.values())


def write_csv(found: Rows, file: Path) -> Path:
    """One line for each job, numbers in full; what a job lacks is empty."""
    names = list(dict.fromkeys(name for row in found.rows for name in row.figures))
    keys = [key.lstrip("+~") for key in found.keys]
    with atomic.replacing(file) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["job", *keys, "seed", "status", "seconds", *names, "folder", "message"],
                                restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for row in sorted(found.rows, key=lambda row: row.number):
            values = {key.lstrip("+~"): value for key, value in row.values.items()}
            writer.writerow({**values, **row.figures, "job": row.number, "seed": row.seed, "status": row.status,
                             "seconds": row.seconds, "folder": row.folder, "message": row.message})
    return file


def _row(folder: Path, job: Job, content: dict[str, object], metric: str | None) -> Row:
    found = figures(content)
    value = objective(folder / job.folder, metric) if job.status == "finished" else None
    if metric and value is not None:
        found.setdefault(metric, value)  # out of metrics.csv
    seed, seconds = str(content.get("seed", job.values.get("seed"))), content.get("seconds")
    return Row(job.number, job.folder, job.values, int(seed) if seed.lstrip("-").isdigit() else None, job.status,
               float(seconds) if isinstance(seconds, int | float) else None, found, value,
               " ".join(job.message.split()))


def _found(folder: Path) -> Record:
    """A record of the runs below a folder that no sweep of ours has made, told apart by their overrides."""
    if not folder.is_dir():
        raise UserError(folder, "there is no such folder", "name a sweep's folder under outputs/sweeps")
    runs = sorted((file.parent for file in folder.rglob("overrides.txt")), key=_natural)
    given = [_overrides(run) for run in runs]
    shared = set.intersection(*(set(one.items()) for one in given)) if given else set()
    jobs = [Job(place, {key: value for key, value in one.items() if (key, value) not in shared},
                str(run.relative_to(folder)), results.read(run).get("status") or "interrupted")
            for place, (run, one) in enumerate(zip(runs, given, strict=True))]
    if not jobs:
        raise UserError(folder, "no runs are in this folder", "name a sweep's folder under outputs/sweeps")
    return Record([], [], [], "grid", jobs=jobs)


def _overrides(run: Path) -> Values:
    lines = words.lasting(runfolder.overrides(run))
    return {words.key(text): text.partition("=")[2] for text in lines if words.key(text) != "output_dir"}


def _natural(path: Path) -> Sequence[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in path.parts]
