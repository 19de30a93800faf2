"""Run a checked plan, and turn every way in which it can end into a status, a message and an exit code."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.core import atomic, console, environment, quiet, resume, runfolder, signals
from src.core.config import words
from src.core.config.plan import Plan
from src.core.config.quoting import typed
from src.core.errors import FAILED_RUN, UserError
from src.core.processes import peers, slurm
from src.core.results import Results, Status, read

if TYPE_CHECKING:
    from src.core.work import Work

SHOW_TRACEBACK = "B2_TRACEBACK"


def launch(plan: Plan) -> int:
    """Carry the plan out and return the exit code: 0, 1 (failed), 2 (bad input), 130, 138, 140 or 143 (stopped)."""
    if plan.finished:
        return _say_finished(plan)
    run = _Run(plan)
    if not console.is_main_process():
        peers.follow_parent()
    with signals.caught():
        try:
            code = run.carry_out()
        finally:
            run.folder.close()
            os.environ.pop(runfolder.ENV, None)
        return slurm.queued_again(code) if slurm.job() else code


class _Run:
    """One attempt: the objects it has made so far decide how an error is handled."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.folder = runfolder.RunFolder(plan.folder)
        self.results = Results(plan.folder, plan.choices.get("method") or "", plan.cfg["seed"], plan.cfg["mode"],
                               plan.command)
        self.work: Work | None = None

    def carry_out(self) -> int:
        """Build, open the folder, work. Nothing is written before the objects could be built."""
        try:
            quiet.before_import()
            from src.core.processes import ranks
            from src.core.work import Work  # torch and Lightning are imported here, not before the checks

            quiet.after_import()
            peers.replace_observer(self._on_loss)
            self.work = Work(self.plan, self.results)
            self._open_folder()
            self.work.prepare()
            self.work.run()
            self.results.save("finished")
            ranks.disconnect()
            return 0
        except UserError as error:
            peers.leaving()
            stop = _stop_behind(error) if error.lost else None  # the other one was told to stop as well, and faster
            return self._on_stop(stop) if stop else self._on_user_error(error)
        except (Exception, KeyboardInterrupt, SystemExit, signals.StopRun) as error:
            peers.leaving()
            stop = error if isinstance(error, signals.StopRun) else _stop_behind(error)
            if not stop and (lost := _peer_behind(error)):
                return self._on_user_error(lost)
            return self._on_stop(stop) if stop else self._on_failure(error)
        finally:
            self._close_loggers()

    def _open_folder(self) -> None:
        plan = self.plan
        earlier = read(plan.folder) if plan.resumed else {}
        if not console.is_main_process():
            self.results.continue_from(earlier)  # all ranks skip the evaluation that was done before, or none
            return
        self.folder.open(plan.cfg, words.lasting(plan.overrides, own=("resume", "run_dir")), plan.roots)
        # Processes that Lightning starts for further devices read it and write to the same folder.
        os.environ[runfolder.ENV] = str(plan.folder)
        if plan.resumed:
            resume.tidy(plan.folder, plan.checkpoint)
        self.results.continue_from(earlier)
        self.results.save("running")
        slurm.record(plan.folder)
        environment.write(plan.folder)
        if plan.cfg["mode"] == "train":
            self.folder.point_latest(Path(plan.cfg["output_dir"]).absolute())

    def _on_user_error(self, error: UserError) -> int:
        began = self._began
        if self.folder.is_open:
            self._save("failed")
        if self.folder.is_open and not began and error.exit_code != FAILED_RUN:
            self._close_loggers()
            self.folder.undo()
        if os.environ.get(SHOW_TRACEBACK):
            traceback.print_exc()
        console.fail(error, from_any=True)
        if began or error.exit_code == FAILED_RUN:
            self._say_how_to_continue()
        return FAILED_RUN if began else error.exit_code

    def _on_stop(self, stop: signals.StopRun) -> int:
        if self.folder.is_open:
            self._save("interrupted")
        if self.work is not None and self.folder.is_open and self.plan.cfg["mode"] == "train":
            _best_effort("the report", self.work.report)
            self._save("interrupted")
            console.note("Interrupted.")
            self._say_how_to_continue()
        return stop.exit_code

    def _on_failure(self, error: BaseException) -> int:
        if fault := atomic.disk_fault(error):
            return self._on_user_error(atomic.unwritable(Path(fault.filename or self.plan.folder), fault))
        rank = console.rank()
        log = self.plan.folder / (f"error_rank{rank}.log" if rank else "error.log")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            self._save("failed")
            log.write_text("".join(traceback.format_exception(error)))
        except OSError:
            traceback.print_exception(error)
        if os.environ.get(SHOW_TRACEBACK) or self.plan.choices.get("debug"):
            traceback.print_exception(error)
        reason = str(error).strip().splitlines()
        console.fail(UserError(type(error).__name__, reason[0] if reason else "no message",
                               f"the traceback is in {runfolder.short(log)}"), from_any=True)
        self._say_how_to_continue()
        return FAILED_RUN

    @property
    def _began(self) -> bool:
        return self.work is not None and self.work.began

    def _save(self, status: Status) -> None:
        """On the way out: a disk that is full is told once, as what ended the run."""
        with suppress(UserError, OSError):
            self.results.save(status)

    def _say_how_to_continue(self) -> None:
        if (self.plan.folder / "metrics.json").is_file() and self.plan.cfg["mode"] == "train":
            console.note(f"Continue with: python -m src.run {typed('resume', runfolder.short(self.plan.folder))}")

    def _on_loss(self, what: str) -> None:
        """Another process has ended while this one waits for it, and cannot be woken up."""
        self._save("failed")
        console.fail(UserError(what, "the run cannot go on without it", "its own message says why"))

    def _close_loggers(self) -> None:
        if self.work is not None:
            _best_effort("closing the loggers", self.work.close)


def _say_finished(plan: Plan) -> int:
    place = runfolder.short(plan.folder)
    console.note(f"{place}: finished already; its figures are in {place / 'metrics.json'}")
    if plan.cfg["mode"] == "train":
        console.note(f"Evaluate it again with: python -m src.run mode=eval {typed('ckpt', place)}")
    return 0


def _stop_behind(error: BaseException) -> signals.StopRun | None:
    """A stop was asked for and something broke on the way out: that is a stop, not a failure."""
    if signals.requested() is not None:
        return signals.StopRun(signals.requested() or 2)
    return signals.StopRun(2) if isinstance(error, KeyboardInterrupt) else None


def _peer_behind(error: BaseException) -> UserError | None:
    """Another process has ended, which this one noticed as an error of a collective."""
    if "torch" not in sys.modules:
        return None
    from src.core.processes import ranks

    return ranks.lost_peer(error)


def _best_effort(what: str, action: Callable[[], Any]) -> None:
    try:
        action()
    except Exception as error:
        console.warn(f"{what} failed: {error}")
