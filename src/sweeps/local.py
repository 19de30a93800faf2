"""Jobs as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from src.core import console, results, runfolder
from src.core.errors import UserError
from src.sweeps import machine
from src.sweeps.counts import check_counts

Line = Callable[[], list[str]]


class Running(Protocol):
    """A job that was started."""

    def code(self) -> int | None:
        """Its exit code, None as long as it runs."""

    def stop(self, signum: int) -> None:
        """Ask it to end; it saves first, unless ``signum`` is SIGKILL."""


class Launcher(Protocol):
    """Starts jobs. ``places``: how many at a time."""

    places: int

    def prepare(self, folder: Path, trainers: list[dict[str, Any]], jobs: int | str | None) -> None:
        """Get ready; nothing is created. ``trainers``: of the sweep's jobs. ``jobs``: what was asked for on the command
        line."""

    def start(self, line: Line, folder: Path, log: Path) -> Running:
        """Start one job; its output goes to ``log``. ``line`` gives the command line as the folder then is."""


class Local:
    """``n_jobs`` processes at a time, each with GPUs of its own or its share of the cores."""

    def __init__(
        self, *, n_jobs: int | Literal["auto"] = 1, gpus_per_job: int | None = None, threads_per_job: int | None = None
    ) -> None:
        self.n_jobs, self.gpus_per_job, self.threads = n_jobs, gpus_per_job, threads_per_job
        self.places = 1

    def prepare(self, folder: Path, trainers: list[dict[str, Any]], jobs: int | str | None) -> None:
        """Share out the machine: each job gets what the largest one needs. Raises ``Problems`` for numbers that are too
        small."""
        check_counts({"hydra.launcher.n_jobs": self.n_jobs}, fix="auto is one for each GPU; one for each "
                     f"core: jobs={machine.cores()}")
        check_counts({"hydra.launcher.threads_per_job": self.threads}, fix="null is cores / n_jobs")
        check_counts({"hydra.launcher.gpus_per_job": self.gpus_per_job}, 0, "null is trainer.devices")
        wanted = self.n_jobs if jobs is None else jobs
        each = max(map(machine.gpus_of_a_job, trainers)) if self.gpus_per_job is None else self.gpus_per_job
        names = machine.gpus() if each and wanted != 1 else []
        self.places = max(1, len(names) // max(1, each)) if wanted == "auto" else int(wanted)
        alone = self.places == 1
        self._free = [{}] if alone else machine.shares(self.places, names, each, self.threads)
        if alone and self.threads:
            self._free = machine.shares(1, [], 0, self.threads)
        if names and self.places * each > len(names):
            console.note(f"{self.places} jobs at a time on {len(names)} GPUs: some share one.")

    def start(self, line: Line, folder: Path, log: Path) -> Running:
        """A process; one that an earlier, killed sweep left behind is waited for instead."""
        if runfolder.is_locked(folder):
            console.note(f"{runfolder.short(folder)} is still running from before; waiting for it.")
            return Left(folder)
        share = self._free.pop(0)
        return Process(line(), share, log, shown=self.places == 1, free=self._free)


class Process:
    """A run in a process group of its own: Ctrl-C reaches the sweep only, which passes it on once."""

    def __init__(self, command: list[str], share: dict[str, str], log: Path, shown: bool,
                 free: list[dict[str, str]]) -> None:
        self._share, self._freed = share, free
        environment = {name: value for name, value in os.environ.items() if name != runfolder.ENV} | share
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("ab")
        # One job at a time shows what it prints; of several, only the logs are readable.
        output = None if shown else self._log
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, process_group=0,
            stderr=subprocess.PIPE if shown else subprocess.STDOUT)
        self._reader = threading.Thread(target=_copy, args=(self._process.stderr, self._log), daemon=True)
        if shown:
            self._reader.start()

    def code(self) -> int | None:
        code = self._process.poll()
        if code is not None and self._share is not None:
            if self._reader.ident is not None:
                self._reader.join(timeout=5)
            self._log.close()
            self._freed.append(self._share)
            self._share = None
        return code

    def stop(self, signum: int) -> None:
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signum)
            except ProcessLookupError:
                return


class Left:
    """A run that goes on although the sweep that started it is gone; its lock tells when it has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def code(self) -> int | None:
        if runfolder.is_locked(self._folder):
            return None
        return 0 if results.read(self._folder).get("status") == "finished" else 1

    def stop(self, signum: int) -> None:
        if signum == signal.SIGKILL:
            raise UserError(self._folder, "this run no longer belongs to a sweep, but still runs", "end it yourself")


def _copy(source: IO[bytes], log: IO[bytes]) -> None:
    """Errors and warnings go to the screen and to the log."""
    for line in source:
        log.write(line)
        log.flush()
        sys.stderr.write(line.decode(errors="replace"))
        sys.stderr.flush()
