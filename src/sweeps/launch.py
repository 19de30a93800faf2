"""Run a sweep from its first job to its tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from src.core import console, runfolder
from src.core.config.command_line import Arguments
from src.core.config.quoting import typed
from src.core.errors import BAD_INPUT, FAILED_RUN, UserError
from src.sweeps import report
from src.sweeps.pool import Pool
from src.sweeps.record import Record, short_names
from src.sweeps.setup import Setup, prepare


def sweep(arguments: Arguments) -> int:
    """Carry a sweep out; 0, 1 (a job failed), 130 or 143 (stopped). Raises ``UserError`` before anything is created."""
    setup = prepare(arguments)
    folder, record = setup.folder, setup.record
    lock = _open(folder)
    try:
        record.refresh(folder)
        total = setup.sweeper.begin(setup.space, record, folder)
        finished = sum(job.status == "finished" for job in record.jobs)
        record.complete = False
        record.save(folder)
        _announce(setup, total, finished)
        pool = Pool(record, folder, setup.sweeper, setup.launcher, max(0, total - finished))
        signum = pool.run()
        record.complete = not signum and not pool.fault and setup.sweeper.done()
        record.save(folder)
    finally:
        if lock is not None:
            lock.close()
    return _close(folder, record, signum, pool.fault)


def _open(folder: Path) -> IO[str] | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(folder, f"the sweep's folder cannot be made ({error.strerror})", "name another: sweep_dir=",
                        BAD_INPUT) from error
    return runfolder.lock(folder)


def _announce(setup: Setup, total: int, finished: int) -> None:
    keys = short_names(list(setup.space)).values()
    words = [f"{finished} finished"] if finished else []
    words += [f"{setup.launcher.places} at a time"] if setup.launcher.places > 1 else []
    more = f" ({', '.join(words)})" if words else ""
    console.note(f"Sweep of {total} runs over {', '.join(keys) or 'nothing'}{more}: "
                 f"{runfolder.short(setup.folder)}")


def _close(folder: Path, record: Record, signum: int, fault: UserError | None) -> int:
    """Tables and pictures of what there is; what failed and how to go on. ``fault``: why the sweep could not go on."""
    try:
        report.write(folder)
    except UserError as error:
        if fault is None:
            console.warn(str(error))
    if fault is not None:
        console.fail(fault)
    failed = [job for job in record.jobs if job.status == "failed"]
    place = runfolder.short(folder)
    if failed and record.complete:
        console.note(f"{len(failed)} of {len(record.jobs)} jobs failed; others took their place.")
    elif failed:
        lines = [f"{runfolder.short(folder / job.folder)}: {' '.join(job.overrides)}: "
                 f"{' '.join(job.message.split()) or 'no message'} (log: logs/{job.folder}.txt)" for job in failed]
        console.fail(UserError("\n".join([f"{len(failed)} of {len(record.jobs)} jobs failed", *lines])))
    if not record.complete:
        console.note(f"Finished jobs are kept. Go on with: python -m src.run {typed('resume', place)}")
    if signum:
        return 128 + signum
    return 0 if record.complete else FAILED_RUN
