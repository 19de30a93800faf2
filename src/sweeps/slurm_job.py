"""A job of a sweep under SLURM: what it does on its node, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from src.core import results, signals
from src.core.processes import slurm
from src.sweeps.local import Line

# Exit codes of a run that was told to end by SLURM, which also says what becomes of the job.
TOLD = {code for signum in (signals.REQUEUE, signals.MOVE, signals.END) for code in (128 + signum, -signum)}


class Task:
    """What the job does on its node; submitit keeps it in a file and calls it there, again where SLURM restarts it."""

    first: list[str] | None = None  # of a job that was queued before there was one

    def __init__(self, line: Line, log: Path, patience: float) -> None:
        self.line, self.log, self.patience = line, log, patience
        self.first = line()  # for all tasks of a job: one that is late would find the folder that the first has made
        self._run: subprocess.Popen | None = None

    def __call__(self) -> int:
        """Run it; the exit code."""
        command = self.line() if slurm.was_requeued() or self.first is None else self.first
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            # With control groups SLURM signals this process alone, else both: the run may hear it twice.
            signal.signal(signals.END, lambda signum, _: self._run.send_signal(signum))
            code = self._run.wait()
        if code in TOLD and os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            os._exit(0)  # without a result: that would be the end of a job which is perhaps queued again
        return code

    def checkpoint(self) -> Any:
        """Called by submitit when the time is nearly over: the run ends after its batch if that is soon enough, and the
        job is queued again to go on there."""
        from submitit.helpers import DelayedSubmission

        if self._run is not None:
            self._run.send_signal(signals.MOVE)
            end = time.monotonic() + self.patience
            with suppress(ChildProcessError):  # it has ended; its code is left to __call__
                while time.monotonic() < end and not os.waitid(os.P_PID, self._run.pid,
                                                               os.WEXITED | os.WNOWAIT | os.WNOHANG):
                    time.sleep(0.2)
        return DelayedSubmission(Task(self.line, self.log, self.patience))


class Submitted:
    """A job in SLURM's hands."""

    def __init__(self, job: Any, folder: Path, log: Path) -> None:
        self._job, self._folder, self._log = job, folder, log

    def code(self) -> int | None:
        if not self._job.done():
            return None
        try:
            return max(self._job.results(), key=abs)
        except Exception:  # submitit knows of no result
            if results.read(self._folder).get("status") == "interrupted":
                return 128 + signals.END
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a") as log:
                log.write(f"error: job {self._job.job_id} has left the queue without a result: out of time, cancelled, "
                          "or its node was lost\n")
            return 1

    def stop(self, signum: int) -> None:
        self._job.cancel(check=False)
