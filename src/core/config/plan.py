"""From the command line to a run that is known to be possible; nothing is created and no torch is imported."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from src.core import checkpoint_files, console, results, resume, runfolder, states
from src.core.config import command_line, drift, idle, quoting, words
from src.core.config.check import check
from src.core.config.compose import Composed, compose, plain
from src.core.config.origin import Origin
from src.core.errors import Problems, UserError
from src.core.processes import rendezvous, tasks
from src.core.states import State, run_of


@dataclass(frozen=True)
class Plan:
    """A checked run. ``cfg`` is resolved and plain; ``checkpoint`` is what training or evaluation starts from,
    ``states`` what ``mode=protocol`` evaluates."""

    cfg: dict[str, Any]
    choices: dict[str, str | None]
    overrides: list[str]
    folder: Path
    command: str
    resumed: bool = False
    checkpoint: Path | None = None
    finished: bool = False  # already: there is nothing to do
    states: tuple[State, ...] = ()
    typed: frozenset[str] = frozenset()  # keys that this very command line sets
    roots: tuple[Path, ...] = ()  # of --config-dir, the continued run's too


@dataclass(frozen=True)
class _Found:
    """What the command line leads to: the run as it is composed, and what of it is there already."""

    composed: Composed
    given: list[str]
    roots: Sequence[Path]
    folder: Path | None = None  # of the run that is gone on with
    checkpoint: Path | None = None
    finished: bool = False
    states: tuple[State, ...] = ()
    asked: Sequence[str] = ()  # keys in which the command line differs from the run's own


def make(overrides: Sequence[str], roots: Sequence[Path] = (), argv: Sequence[str] | None = None) -> Plan:
    """Compose, find what is to be continued, check. Raises ``UserError`` with every problem at once."""
    tasks.check()  # before tasks ask each other
    composed, given = compose(overrides, roots), list(overrides)
    asked = _asked(composed)
    find = {"train": _training, "eval": _evaluation, "sample": _evaluation, "protocol": _protocol}.get(asked["mode"])
    found = find(asked, composed, given, roots) if find else _Found(composed, given, roots)
    again = [*command_line.flags(found.roots), *found.given]
    command = shlex.join(["python", "-m", "src.run", *(again if found.folder else argv or overrides)])
    place = found.folder or _fresh_folder(found.composed, found.given)
    ours = found.folder is not None or (asked["mode"] != "train" and resume.has_evaluated(place, command))
    finished = found.finished or (found.folder is None and ours and _is_finished(place))
    typed = frozenset([*map(words.key, overrides), *found.asked])
    return _checked(found.composed, ours, Plan({}, found.composed.choices, found.given, place, command,
                                               found.folder is not None, found.checkpoint, finished, found.states,
                                               typed, tuple(found.roots)))


def _training(asked: dict[str, Any], composed: Composed, given: list[str], roots: Sequence[Path]) -> _Found:
    """A fresh run, or the one that is to be continued, with its own overrides."""
    output_dir, folder = Path(str(asked["output_dir"])), None
    if asked["resume"] in (None, "auto"):
        folder = rendezvous.decided("job", lambda: resume.of_job(given, _named_folder(composed, given), output_dir))
    if folder is None and asked["resume"] is not None:
        folder = _resumed_folder(str(asked["resume"]), composed, given, output_dir)
    if folder is None:
        return _Found(composed, given, roots)
    _check_training(folder)
    saved, roots = runfolder.overrides(folder), _roots(folder, roots)
    typed, given = given, words.merge(saved, words.lasting(given))
    finished = _is_finished(folder) and set(given) == set(saved)
    composed, checkpoint = compose(given, roots), None if finished else checkpoint_files.newest(folder)
    composed.problems.extend([] if finished else drift.problems(
        composed, folder, typed, roots, f"with {quoting.typed('resume', runfolder.short(folder))}"))
    composed.cfg.ckpt = asked["ckpt"]  # refused, not passed over
    return _Found(composed, given, roots, folder, checkpoint, finished)


def _evaluation(asked: dict[str, Any], composed: Composed, given: list[str], roots: Sequence[Path]) -> _Found:
    """With the overrides of the run that the checkpoint is of."""
    if not isinstance(asked["ckpt"], str):
        return _Found(composed, given, roots)
    checkpoint = resume.evaluated(asked["ckpt"], Path(str(asked["output_dir"])), kept=asked["mode"] == "sample")
    run, typed = run_of(checkpoint), given
    given, roots = _as_trained(run, given), _roots(run, roots)
    composed = compose(given, roots)
    composed.problems.extend(drift.problems(composed, run, typed, roots, "to go on") if run else [])
    return _Found(composed, given, roots, checkpoint=checkpoint)


def _protocol(asked: dict[str, Any], composed: Composed, given: list[str], roots: Sequence[Path]) -> _Found:
    """With the overrides of the first of the runs that are compared."""
    compared = states.found(asked["ckpt"], Path(str(asked["output_dir"])))
    run = next((state.run for state in compared if state.run), None)
    typed, given, roots = given, _as_trained(run, given), _roots(run, roots)
    composed = compose(given, roots)
    asked_for = drift.asked(composed, run, typed, roots) if run else []
    return _Found(composed, given, roots, states=tuple(compared), asked=asked_for)


def check_only(overrides: Sequence[str], roots: Sequence[Path] = (), sweep: bool = False) -> None:
    """Raise ``UserError`` if the run, or the first run of a sweep, cannot be made."""
    composed = compose(overrides, roots, sweep)
    check(_resolved(composed), composed.problems, Origin(composed, overrides, roots))


def _asked(composed: Composed) -> dict[str, Any]:
    """The keys that say what is to be done; the rest may fit together only with the continued run's overrides."""
    try:
        return {name: composed.cfg[name] for name in ("mode", "resume", "ckpt", "output_dir")}
    except OmegaConfBaseException:
        return _resolved(composed)


def _resolved(composed: Composed) -> dict[str, Any]:
    try:
        return plain(composed.cfg)
    except UserError as error:
        raise Problems([*composed.problems, *error.lines()]) from error


def _checked(composed: Composed, ours: bool, plan: Plan) -> Plan:
    """``ours``: what the folder holds is this command's own."""
    composed.cfg.run_dir = str(plan.folder)
    cfg = _resolved(composed)
    check(cfg, composed.problems, Origin(composed, plan.overrides, plan.roots))
    tasks.check_devices(cfg["trainer"])
    if console.is_main_process():
        for line in idle.told(cfg, plan.overrides):
            console.warn(line)
        runfolder.check_writable(plan.folder)
        if not ours:
            runfolder.check_unused(plan.folder)
    return replace(plan, cfg=cfg)


def _resumed_folder(wanted: str, composed: Composed, given: list[str], output_dir: Path) -> Path | None:
    if wanted == "auto" and composed.problems:
        return None  # no run has such overrides; the check says what is wrong with them
    if not console.is_main_process() and runfolder.ENV in os.environ:
        return Path(os.environ[runfolder.ENV])
    named = _named_folder(composed, given)
    folder = rendezvous.decided("resume", lambda: resume.find(wanted, given, output_dir, named))
    if folder is None:
        found = f"there is no run in {named} yet" if named else "no unfinished run has these overrides"
        console.note(f"resume=auto: {found}; starting afresh.")
    return folder


def _is_finished(folder: Path) -> bool:
    return results.read(folder).get("status") == "finished"


def _check_training(folder: Path) -> None:
    mode = results.read(folder).get("mode", "train")
    if mode != "train":
        raise UserError(f"resume={runfolder.short(folder)}", f"this was a run of mode={mode}, which cannot be resumed",
                        f"give its own command again, with mode={mode}")


def _as_trained(run: Path | None, given: list[str]) -> list[str]:
    """A checkpoint inside a run folder brings that run's overrides along, so that they need not be typed again."""
    if run is None:
        return given
    earlier = [text for text in words.lasting(runfolder.overrides(run)) if words.key(text) != "name"]
    return words.merge(earlier, given)


def _roots(run: Path | None, given: Sequence[Path]) -> list[Path]:
    """The folders of a run's own recipes too, so that ``--config-dir`` need not be typed again."""
    saved = runfolder.roots(run) if run else []
    gone = [root for root in saved if not root.is_dir()]
    if gone and not given:
        raise UserError(f"--config-dir {gone[0]}", "there is no such folder; the run was made with it",
                        "say where it is now: --config-dir <folder>")
    return list(dict.fromkeys([*(root for root in saved if root not in gone), *given]))


def _fresh_folder(composed: Composed, given: list[str]) -> Path:
    method = (composed.choices.get("method") or "run").replace("/", "-")
    return runfolder.choose(_resolved(composed), method, _hydra_folder(composed, given))


def _hydra_folder(composed: Composed, given: list[str]) -> str | None:
    """What ``hydra.run.dir=`` names."""
    named = any(words.key(text) == "hydra.run.dir" for text in given)
    return str(composed.hydra.run.dir) if named else None


def _named_folder(composed: Composed, given: list[str]) -> str | None:
    """The run folder that the command line names."""
    return composed.cfg.run_dir or _hydra_folder(composed, given)
