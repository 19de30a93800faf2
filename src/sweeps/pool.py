"""Run the jobs of a sweep, as many at a time as there are places, until all are done or the user has had enough."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from src.core import console, results
from src.core.errors import UserError
from src.sweeps import commands
from src.sweeps.default_metric import usual_of
from src.sweeps.local import Launcher, Running
from src.sweeps.objective import objective
from src.sweeps.record import Job, Record
from src.sweeps.sweepers import Sweeper

PAUSE = 0.1  # seconds between two looks at the running jobs
STOPPED = (130, 143)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Pool:
    """The running jobs of a sweep in ``folder``, ``total`` in all."""

    record: Record
    folder: Path
    sweeper: Sweeper
    launcher: Launcher
    total: int
    running: dict[int, tuple[Job, Running, float]] = field(default_factory=dict)
    asked: int = 0  # signal that ended it, 0 if none
    done: int = 0
    seconds: list[float] = field(default_factory=list)
    signals: int = 0  # how many came
    fault: UserError | None = None  # why the sweeper cannot go on; what runs may end

    def run(self) -> int:
        """Run all; the signal that stopped it, or 0."""
        with _handling(self._stop):
            while self._fill() or self.running:
                time.sleep(PAUSE)
                for job, handle, began in list(self.running.values()):
                    code = handle.code()
                    if code is not None:
                        del self.running[job.number]
                        self._ended(job, code, time.monotonic() - began)
        return self.asked

    def _fill(self) -> bool:
        """Start jobs in the free places; whether any runs."""
        while not self.asked and not self.fault and len(self.running) < self.launcher.places:
            job = None
            with self._fault_kept():
                job = self.sweeper.ask()
            if job is None:
                break
            self._start(job)
        return bool(self.running)

    def _start(self, job: Job) -> None:
        folder = self.folder / job.folder
        job.status, job.message = "running", ""
        self.record.save(self.folder)
        if self.launcher.places == 1:
            console.note(f"\n{self._place()} {' '.join(job.overrides)}")
        line = partial(commands.command, folder, [*self.record.base, *job.overrides], self.record.roots,
                       commands.PROGRAM)
        self.running[job.number] = job, self.launcher.start(line, folder, self.log(job)), time.monotonic()
        if self.asked:  # the signal came while it was being started
            self.running[job.number][1].stop(self.asked)

    def log(self, job: Job) -> Path:
        """Where a job's output goes."""
        return self.folder / "logs" / f"{job.folder}.txt"

    def _ended(self, job: Job, code: int, seconds: float) -> None:
        folder = self.folder / job.folder
        status = results.read(folder).get("status")
        if code == 0 or status == "finished":
            job.status = "finished"
        elif self.asked or code in STOPPED:
            job.status = "interrupted"
        else:
            job.status, job.message = "failed", commands.message(self.log(job), code)
        metric = self.record.metric or usual_of([folder]).metric
        figure = objective(folder, metric) if job.status == "finished" else None
        if job.status != "interrupted":
            with self._fault_kept():
                self.sweeper.tell(job, figure)
        self.done += 1
        self.seconds += [seconds] if job.status == "finished" else []
        self.record.save(self.folder)
        self._tell(job, "" if figure is None else f"  {metric}={console.number(figure)}", seconds)

    @contextmanager
    def _fault_kept(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            self.fault = self.fault or error

    def _tell(self, job: Job, shown: str, seconds: float) -> None:
        reason = f"  {job.message.splitlines()[0]}" if job.message else ""
        if self.launcher.places > 1:
            console.note(f"{self._place(0)} {job.status:<11} {' '.join(job.overrides)}{shown}  {seconds:.0f} s"
                         f"{reason}{self._left()}")

    def _place(self, ahead: int = 1) -> str:
        """``[3/12]``: the number of this job among those of this session."""
        return f"[{self.done + ahead}/{self.total}]"

    def _left(self) -> str:
        left = self.total - self.done
        if not self.seconds or left <= 0 or self.asked:
            return ""
        minutes = sum(self.seconds) / len(self.seconds) * left / self.launcher.places / 60
        return f"  (about {minutes:.0f} min left)" if minutes >= 1 else ""

    def _stop(self, signum: int) -> None:
        """The first signal lets jobs end after their batch, the second at once, the third kills."""
        if not self.asked:
            self.asked = signum
            console.note("Stopping: every job ends after its current batch. Ctrl-C again stops them at once.")
        self.signals += 1
        gentle = signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM
        for _, handle, _ in list(self.running.values()):
            handle.stop(signal.SIGKILL if self.signals > 2 else gentle)


@contextmanager
def _handling(stop: Callable[[int], None]) -> Iterator[None]:
    """Signals go to ``stop`` inside the block."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    for signum, handler in before.items():
        if signum != signal.SIGHUP or handler != signal.SIG_IGN:  # nohup means it
            signal.signal(signum, lambda number, _: stop(number))
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
