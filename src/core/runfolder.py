"""A run's folder: where it is, what is written into it at the start."""

import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from src.core import atomic
from src.core.config import quoting
from src.core.errors import UserError
from src.core.processes import rendezvous

ENV = "B2_RUN_DIR"
SWEEP_FILE = "sweep.json"  # in the folder of a sweep; its runs lie below
ROOTS_FILE = "config_dirs.txt"  # folders of --config-dir, where there were any
FIRST_FILES = {"config.yaml", "overrides.txt", ROOTS_FILE, "env.json", "metrics.json", "wandb_id.txt",
               "slurm_job.txt", ".lock"}


def choose(cfg: Mapping[str, Any], method: str, hydra_run_dir: str | None) -> Path:
    """The folder of a fresh run. Nothing is created.

    In order: the environment variable (all processes of a distributed run agree on it), ``run_dir=``,
    ``hydra.run.dir=``, ``<output_dir>/runs/<date_time>_<method>[_<name>]``.
    """
    given = os.environ.get(ENV) or cfg.get("run_dir") or hydra_run_dir
    if given:
        return Path(given).absolute()
    if int(os.environ.get("WORLD_SIZE") or 1) > 1 and not rendezvous.is_needed():
        raise UserError("run_dir=null", "processes that were started one by one cannot agree on a folder that is "
                        "named after the time", "add run_dir=<folder>, or start them by torchrun")
    mode = "" if cfg["mode"] == "train" else f"_{cfg['mode']}"
    name = "" if cfg.get("name") is None else "_" + re.sub(r"[^\w.-]+", "-", str(cfg["name"]))
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    path = (Path(cfg["output_dir"]) / "runs" / f"{stamp}_{method}{mode}{name}").absolute()
    return rendezvous.decided("folder", lambda: first_free(path))


def config(folder: Path) -> dict[str, Any]:
    """A run's config.yaml; empty where it cannot be read."""
    try:
        content = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def overrides(folder: Path) -> list[str]:
    """The lines of a run's overrides.txt. Raises ``UserError`` if it has none."""
    try:
        return [line for line in (folder / "overrides.txt").read_text().splitlines() if line.strip()]
    except OSError as error:
        raise UserError(folder, "this is not a run folder (it has no overrides.txt)",
                        "give a folder below outputs/runs") from error


def roots(folder: Path) -> list[Path]:
    """The folders of ``--config-dir`` that a run was made with."""
    file = folder / ROOTS_FILE
    return [Path(line) for line in file.read_text().splitlines()] if file.is_file() else []


def check_writable(path: Path) -> None:
    """Raise ``UserError`` if the folder could not be made or written; creates nothing."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise UserError(path, f"{place} is a file, a run needs a folder", "choose another with run_dir= or output_dir=")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(path, f"{place} cannot be written", "choose another with run_dir= or output_dir=")


def check_unused(path: Path) -> None:
    """Raise ``UserError`` if a fresh run would write into an older run's folder."""
    if (path / "metrics.json").exists():
        raise UserError(path, "this folder holds a run already",
                        f"continue it with {quoting.typed('resume', path)}, or name another")


class RunFolder:
    """The folder on disk, locked for as long as this process runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_open = False
        self._is_new = False
        self._earlier: dict[Path, bytes] = {}
        self._latest: tuple[Path, str | None] | None = None
        self._lock: IO[str] | None = None

    def open(self, config: Mapping[str, Any], overrides: Iterable[str], roots: Iterable[Path] = ()) -> None:
        """Make the folder and write config.yaml, overrides.txt and the like. Raises ``UserError`` if that fails."""
        try:
            self._is_new = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self._earlier = {path: path.read_bytes() for name in FIRST_FILES if (path := self.path / name).is_file()}
            self._lock = lock(self.path)
            self.is_open = True
            os.register_at_fork(after_in_child=self.close)  # a loader's worker may outlive this process for seconds
            content = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
            atomic.write_text(self.path / "config.yaml", content)
            atomic.write_text(self.path / "overrides.txt", "".join(f"{line}\n" for line in overrides))
            if folders := "".join(f"{root}\n" for root in roots):
                atomic.write_text(self.path / ROOTS_FILE, folders)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(self.path, f"the run folder cannot be written ({reason})",
                            "choose another with run_dir= or output_dir=") from error

    def point_latest(self, output_dir: Path) -> None:
        """Move ``<output_dir>/latest`` to this run. A disk without links is no reason to stop."""
        link = output_dir / "latest"
        self._latest = (link, os.readlink(link) if link.is_symlink() else None)
        _link(link, os.path.relpath(self.path, output_dir))

    def undo(self) -> None:
        """Put everything back as it was before ``open``: bad input leaves nothing half-made.

        A new folder goes away if nothing but the first files is in it; an older run gets its files back.
        """
        if self._is_new:
            if any(item.name not in FIRST_FILES for item in self.path.rglob("*") if not item.is_dir()):
                return
            shutil.rmtree(self.path, ignore_errors=True)
        for path, content in self._earlier.items():
            path.write_bytes(content)
        if self._latest is not None:
            _link(*self._latest)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _link(link: Path, target: str | None) -> None:
    """Make, move or (without a target) remove a symbolic link."""
    draft = link.with_name(f".{link.name}-{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        if target is None:
            link.unlink(missing_ok=True)
        elif link.is_symlink() or not link.exists():
            draft.symlink_to(target)
            os.replace(draft, link)
    except OSError:
        draft.unlink(missing_ok=True)


def lock(path: Path) -> IO[str] | None:
    """Hold the folder's lock. Raises ``UserError`` if a running process has it."""
    import fcntl

    stream = (path / ".lock").open("w")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.close()
        raise UserError(path, "another process is running in this folder", "wait for it or stop it first") from error
    except OSError:
        stream.close()
        return None
    return stream


def is_locked(path: Path) -> bool:
    """Whether a process runs in this folder now."""
    if not (path / ".lock").exists():
        return False
    try:
        stream = lock(path)
    except UserError:
        return True
    except OSError:
        return False
    if stream is not None:
        stream.close()
    return False


def first_free(path: Path) -> Path:
    """Two runs may start within one second."""
    count, free = 1, path
    while free.exists():
        count += 1
        free = path.with_name(f"{path.name}_{count}")
    return free


def sweep_of(run: Path) -> Path | None:
    """The folder of the sweep that a run is part of."""
    return run.parent if (run.parent / SWEEP_FILE).is_file() else None


def sweep_named(overrides: Iterable[str]) -> Path | None:
    """The sweep's folder that ``resume=`` names, if it is one's."""
    for text in overrides:
        key, _, value = text.partition("=")
        folder = Path(quoting.text_of(value))
        if key == "resume" and value and (folder / SWEEP_FILE).is_file():
            return folder.absolute()
    return None


def short(path: Path) -> Path:
    """Relative to where the user is, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
