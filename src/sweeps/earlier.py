"""The sweep that is to be continued: where it is, and what of it must be as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.core import console, runfolder
from src.core.errors import UserError
from src.sweeps import record as records
from src.sweeps.commands import is_sweeps_own
from src.sweeps.objective import objective
from src.sweeps.record import Record
from src.sweeps.space import Space

ANEW = "start a new one, without resume="


def find(cfg: Any, fresh: Record) -> Path | None:
    """The sweep to continue: the one in ``sweep_dir=``, or with ``resume=auto`` the newest unfinished of this kind."""
    if cfg.sweep_dir is not None:
        folder = Path(cfg.sweep_dir).absolute()
        if not (folder / runfolder.SWEEP_FILE).is_file():
            return None
        if not _same(records.load(folder), fresh):
            raise UserError(f"sweep_dir={cfg.sweep_dir}", "this folder holds another sweep", "name another folder")
        return folder
    if cfg.resume is None:
        return None
    if cfg.resume != "auto":
        raise UserError(f"resume={cfg.resume}", f"this is not a sweep's folder (it has no {runfolder.SWEEP_FILE})",
                        "write resume=auto, or a folder below outputs/sweeps")
    found = [file.parent for file in (Path(str(cfg.output_dir)) / "sweeps").glob(f"*/{runfolder.SWEEP_FILE}")]
    for folder in sorted(found, key=lambda path: (path / runfolder.SWEEP_FILE).stat().st_mtime, reverse=True):
        known = records.load(folder)
        if not known.complete and _same(known, fresh) and not runfolder.is_locked(folder):
            return folder.absolute()
    console.note("resume=auto: no unfinished sweep has these overrides; starting afresh.")
    return None


def continued(folder: Path, fresh: Record) -> Record:
    """The record in ``folder``, with what may be new in ``fresh``. Raises ``UserError`` if its jobs would be others."""
    earlier = records.load(folder)
    if set(earlier.base) != set(fresh.base):
        changed = sorted(set(earlier.base) ^ set(fresh.base))
        raise UserError(" ".join(changed), "a sweep goes on as it began", ANEW)
    earlier.overrides, earlier.space = fresh.overrides, fresh.space
    earlier.metric, earlier.direction = fresh.metric, fresh.direction
    return earlier


def check_space_kept(space: Space, folder: Path) -> None:
    """Raise ``UserError`` if the search in ``folder`` draws from elsewhere: its points would not belong together."""
    before, now = records.load(folder).space, {key: one.typed for key, one in space.items()}
    for key in sorted({*now, *(before or now)}):
        if before is not None and before.get(key) != now.get(key):
            raise UserError(f"{key}={now.get(key, '')}", "a search goes on as it began, with "
                            f"{f'{key}={before[key]}' if key in before else f'no {key}'}", ANEW)


def check_aim_kept(fresh: Record, folder: Path) -> None:
    """Raise ``UserError`` if finished runs of the search in ``folder`` were judged by another figure."""
    earlier = records.load(folder)
    if (earlier.metric, earlier.direction) == (fresh.metric, fresh.direction):
        return
    if any(objective(folder / job.folder, earlier.metric) is not None for job in earlier.jobs):
        raise UserError(f"optimized_metric={fresh.metric} ({fresh.direction})",
                        f"this search is judged by {earlier.metric} ({earlier.direction})", ANEW)


def _same(one: Record, other: Record) -> bool:
    """Whether two records are of the same sweep: how many jobs run at a time, and where, is no part of it."""
    names = [{text for text in record.overrides if not is_sweeps_own(text)} for record in (one, other)]
    return names[0] == names[1] and one.kind == other.kind
