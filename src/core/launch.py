"""Run a checked plan: folder, objects, trainer, the phases of its mode, results."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from src.core import console, environment, quiet, runfolder, signals
from src.core.errors import FAILED_RUN, UserError
from src.core.plan import Plan
from src.core.results import Results, read
from src.core.resume import key

SHOW_TRACEBACK = "B2_TRACEBACK"


def launch(plan: Plan) -> int:
    """Carry the plan out and return the exit code: 0, 1 (failed), 2 (bad input), 130 or 143 (stopped)."""
    quiet.before_import()
    folder = runfolder.RunFolder(plan.folder)
    results = Results(plan.folder, plan.choices.get("method") or "", plan.cfg["seed"], plan.cfg["mode"], plan.command)
    if plan.resumed:
        results.continue_from(read(plan.folder))
    with signals.caught():
        try:
            _open(plan, folder, results)
            return _guarded(plan, folder, results)
        finally:
            folder.close()
            os.environ.pop(runfolder.ENV, None)


def _open(plan: Plan, folder: runfolder.RunFolder, results: Results) -> None:
    """Make the folder; only the main process writes."""
    if not console.is_main_process():
        return
    kept = [text for text in plan.overrides if key(text) not in ("resume", "run_dir") and "hydra." not in key(text)]
    folder.create(plan.cfg, kept)
    # Processes that Lightning starts for further devices read it and write to the same folder.
    os.environ[runfolder.ENV] = str(plan.folder)
    results.save("running")


def _guarded(plan: Plan, folder: runfolder.RunFolder, results: Results) -> int:
    """Run, and turn every way to end into an exit code, a message and a status."""
    work = None
    try:
        from src.core.work import Work  # torch and Lightning are imported here, not before the checks

        quiet.after_import()
        environment.write(plan.folder) if console.is_main_process() else None
        work = Work(plan, results)
        if plan.cfg["mode"] == "train" and console.is_main_process():
            folder.point_latest(Path(plan.cfg["output_dir"]).absolute())
        work.run()
        results.save("finished")
        return 0
    except UserError as error:
        return _on_user_error(error, plan, folder, results, work)
    except (Exception, KeyboardInterrupt, SystemExit, signals.StopRun) as error:
        stop = error if isinstance(error, signals.StopRun) else _stop_behind(error)
        return _on_stop(stop, plan, results, work) if stop else _on_failure(error, plan, results)
    finally:
        if work is not None:
            _best_effort("closing the loggers", work.close)


def _on_user_error(
    error: UserError, plan: Plan, folder: runfolder.RunFolder, results: Results, work: Any
) -> int:
    began = plan.resumed or (work is not None and work.began)
    results.save("failed")
    if not began and console.is_main_process():
        _best_effort("closing the loggers", work.close) if work is not None else None
        folder.discard()
    if plan.cfg.get("debug") or os.environ.get(SHOW_TRACEBACK):
        traceback.print_exc()
    console.fail(error)
    return FAILED_RUN if began else error.exit_code


def _on_stop(stop: signals.StopRun, plan: Plan, results: Results, work: Any) -> int:
    results.save("interrupted")
    if work is not None and plan.cfg["mode"] == "train":
        _best_effort("the report", work.report)
        results.save("interrupted")
        console.note(f"Interrupted. Continue with: python -m src.run resume={_short(plan.folder)}")
    return stop.exit_code


def _on_failure(error: BaseException, plan: Plan, results: Results) -> int:
    results.save("failed")
    log = plan.folder / "error.log"
    try:
        log.write_text("".join(traceback.format_exception(error)))
    except OSError:
        traceback.print_exception(error)
    if os.environ.get(SHOW_TRACEBACK):
        traceback.print_exception(error)
    reason = str(error).strip().splitlines()
    console.fail(UserError(type(error).__name__, reason[0] if reason else "no message",
                           f"the traceback is in {_short(log)}"))
    return FAILED_RUN


def _stop_behind(error: BaseException) -> signals.StopRun | None:
    """A stop was asked for and something broke on the way out: that is a stop, not a failure."""
    if signals.requested() is not None:
        return signals.StopRun(signals.requested() or 2)
    return signals.StopRun(2) if isinstance(error, KeyboardInterrupt) else None


def _best_effort(what: str, action: Callable[[], Any]) -> None:
    try:
        action()
    except Exception as error:
        console.warn(f"{what} failed: {error}")


def _short(path: Path) -> Path:
    """Relative to where the user is, if that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
