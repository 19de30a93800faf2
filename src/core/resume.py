"""Which run to continue, and which to evaluate."""

from collections.abc import Sequence
from pathlib import Path

from src.core import atomic, checkpoint_files, console, results, runfolder
from src.core.checkpoint_files import BEST, KEPT_SUFFIX, LAST, NEXT, PREVIOUS
from src.core.config import words
from src.core.config.quoting import typed
from src.core.errors import UserError, did_you_mean
from src.core.processes import slurm


def find(resume: str, overrides: Sequence[str], output_dir: Path, named: str | None = None) -> Path | None:
    """The folder to continue, or None for a fresh start (``auto`` found nothing).

    ``named`` is the folder that the command line gives: ``auto`` looks there only, and a finished run is found too.
    """
    if resume == "auto":
        wanted = set(words.lasting(overrides))
        return _begun_in(Path(named), wanted) if named else _newest_unfinished(wanted, output_dir)
    folder = output_dir / "latest" if resume == "latest" else Path(resume)
    if not folder.is_dir():
        runs = [path.name for path in _runs(output_dir)]
        raise UserError(f"resume={resume}", "there is no such run folder", did_you_mean(folder.name, runs))
    runfolder.overrides(folder)
    return folder.resolve()


def of_job(overrides: Sequence[str], named: str | None, output_dir: Path) -> Path | None:
    """The folder in which this SLURM job trained with these overrides before it was queued again; None if it did not.

    ``named`` is the folder that the command line gives.
    """
    if not slurm.was_requeued():
        return None
    for folder in [Path(named)] if named else reversed(_runs(output_dir)):
        if slurm.was_in(folder) and set(words.lasting(runfolder.overrides(folder))) == set(words.lasting(overrides)):
            return folder.resolve()
    return None


def has_evaluated(folder: Path, command: str) -> bool:
    """Whether this SLURM job began the very same evaluation in a folder before it was queued again."""
    return slurm.was_requeued() and slurm.was_in(folder) and results.read(folder).get("command") == command


def located(ckpt: str, output_dir: Path, key: str = "ckpt") -> Path:
    """The file or folder that ``ckpt=`` (or another key) names, or ``latest``. A damaged checkpoint is refused."""
    path = (latest(output_dir) if ckpt == "latest" else Path(ckpt)).resolve()
    if path.is_file() and path.suffix != KEPT_SUFFIX:
        checkpoint_files.refuse_damaged(path)
    elif not path.exists():
        raise UserError(f"{key}={ckpt}", "there is no such file or run folder",
                        "give a run folder, latest, or a file of its checkpoints/")
    return path


def evaluated(ckpt: str, output_dir: Path, kept: bool = False, key: str = "ckpt") -> Path:
    """The file that ``ckpt=`` names: a file, a run folder's best or last, or ``latest``. ``kept``: whether it may be
    weights kept on the way, which have no more than what is trained."""
    path = located(ckpt, output_dir, key)
    if path.is_file():
        if path.suffix == KEPT_SUFFIX and not kept:
            raise UserError(f"{key}={ckpt}", "weights kept during training are not a checkpoint",
                            "use mode=protocol to evaluate them, mode=sample to draw with them")
        return path
    files = checkpoint_files.in_run(path)
    if not files:
        raise UserError(f"{key}={ckpt}", f"{path} has no checkpoint", "give a run that finished an epoch")
    if files[0].name == BEST:
        checkpoint_files.refuse_damaged(files[0])
        return files[0]
    return checkpoint_files.newest(path) or files[0]


def latest(output_dir: Path) -> Path:
    """The newest run that has a checkpoint; where none has, the newest of all."""
    newest = output_dir / "latest"
    if checkpoint_files.in_run(newest):
        return newest
    found = next((folder for folder in reversed(_runs(output_dir)) if checkpoint_files.in_run(folder)), None)
    if found:
        console.note(f"ckpt=latest: {runfolder.short(newest.resolve())} has no checkpoint; "
                     f"{runfolder.short(found)} is the newest run that has one.")
    return found or newest


def tidy(folder: Path, chosen: Path | None) -> None:
    """Remove what a crash left half-written in a run's folder, and a checkpoint that is damaged: the next one would
    take the place of the good one before it."""
    atomic.sweep(folder)
    atomic.remove(folder / "checkpoints" / NEXT)
    if chosen is not None and chosen.name == PREVIOUS:
        atomic.remove(folder / "checkpoints" / LAST)


def _begun_in(folder: Path, wanted: set[str]) -> Path | None:
    """The run in a folder; None if there is none yet. Raises ``UserError`` if it is another one."""
    if not (folder / "overrides.txt").is_file():
        return None
    others = sorted(set(words.lasting(runfolder.overrides(folder))) ^ wanted)
    if others:
        raise UserError(f"run_dir={folder}", f"the run in it differs from this command in {' '.join(others)}",
                        f"go on with it by {typed('resume', folder)}, or name another folder")
    return folder.resolve()


def _newest_unfinished(wanted: set[str], output_dir: Path) -> Path | None:
    for folder in reversed(_runs(output_dir)):
        if set(words.lasting(runfolder.overrides(folder))) != wanted or not _unfinished(folder):
            continue
        # Other ranks find what rank 0, which may hold the lock by now, has found.
        if console.is_main_process() and runfolder.is_locked(folder):
            console.note(f"resume=auto: {runfolder.short(folder)} is in use by a running process; skipped.")
            continue
        return folder.resolve()
    return None


def _unfinished(folder: Path) -> bool:
    """Whether a training began here and did not end; one killed in its first moments has no metrics.json yet."""
    summary = results.read(folder)
    if "mode" in summary:
        return summary["mode"] == "train" and summary.get("status") != "finished"
    return runfolder.config(folder).get("mode") == "train"


def _runs(output_dir: Path) -> list[Path]:
    """Run folders, oldest first."""
    runs = [path for path in (output_dir / "runs").glob("*") if (path / "overrides.txt").is_file()]
    return sorted(runs, key=lambda path: (path.stat().st_mtime, path.name))
