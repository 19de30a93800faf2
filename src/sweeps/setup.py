"""From the command line to a sweep that is known to be possible; nothing is created."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from src.core import console, resume, runfolder
from src.core.build import build
from src.core.command_line import Arguments
from src.core.compose import Composed, compose, config_roots
from src.core.errors import UserError
from src.sweeps import own, space
from src.sweeps import record as records
from src.sweeps.checks import check_space
from src.sweeps.commands import is_sweeps_own
from src.sweeps.local import Launcher
from src.sweeps.record import Record
from src.sweeps.sweepers import Sweeper


@dataclass
class Setup:
    """A checked sweep. ``resumed``: its folder is there already."""

    folder: Path
    record: Record
    space: space.Space
    sweeper: Sweeper
    launcher: Launcher
    resumed: bool


def prepare(arguments: Arguments) -> Setup:
    """Compose, find what is to be continued, check every value. Raises ``UserError`` with every problem at once."""
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise UserError("WORLD_SIZE", "a sweep starts the processes of its jobs itself", "start it without torchrun")
    given, roots, folder = list(arguments.overrides), [str(root) for root in arguments.roots], None
    if named := runfolder.sweep_named(given):
        folder, earlier = named, records.load(named)
        given = resume.merge(earlier.overrides, [text for text in given if resume.key(text) != "resume"])
        roots = list(dict.fromkeys([*earlier.roots, *roots]))
    paths = [Path(root) for root in roots]
    own.check_typed(given)
    composed = compose(given, paths, sweep=True)
    varied, base, parts = _read(composed, given, paths, is_file=any(resume.key(text) == "sweep" for text in given))
    cfg = composed.cfg
    fresh = Record([text for text in given if resume.key(text) not in ("resume", "sweep_dir")], base, roots,
                   parts[0].kind, *own.aim(cfg))
    parts[0].check(varied, fresh)
    folder = folder or _earlier(cfg, fresh)
    check_space(varied, base, paths)
    found = folder or _fresh_folder(composed, given)
    record = _continued(found, fresh) if folder else fresh
    runfolder.check_writable(found)
    parts[1].prepare(found, OmegaConf.to_container(cfg.get("trainer") or OmegaConf.create()), own.jobs(cfg))
    return Setup(found, record, varied, *parts, resumed=folder is not None)


def _read(composed: Composed, given: Sequence[str], roots: list[Path],
          is_file: bool) -> tuple[space.Space, list[str], tuple[Sweeper, Launcher]]:
    """What varies, what every job has, and the objects that propose and start jobs."""
    nodes = {name: OmegaConf.to_container(composed.hydra[name], resolve=True) for name in ("sweeper", "launcher")}
    own.check_composed(composed, nodes)
    params = dict(nodes["sweeper"].get("params") or {})
    with config_roots(roots) as loader:
        varied, base = space.read(params, [text for text in given if not is_sweeps_own(text)], loader)
    if is_file and not varied:
        raise UserError(f"sweep={composed.choices.get('sweep')}", "nothing varies in it: hydra.sweeper.params names no "
                        "key with several values", "add one, as in seed=0,1,2")
    parts = [build({**node, "params": {}} if "params" in node else node) for node in nodes.values()]
    return varied, base, (parts[0], parts[1])


def _earlier(cfg: Any, fresh: Record) -> Path | None:
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
        raise UserError(f"resume={cfg.resume}", f"this is no sweep's folder (it has no {runfolder.SWEEP_FILE})",
                        "write resume=auto, or a folder below outputs/sweeps")
    found = [file.parent for file in (Path(str(cfg.output_dir)) / "sweeps").glob(f"*/{runfolder.SWEEP_FILE}")]
    for folder in sorted(found, key=lambda path: (path / runfolder.SWEEP_FILE).stat().st_mtime, reverse=True):
        known = records.load(folder)
        if not known.complete and _same(known, fresh) and not runfolder.is_locked(folder):
            return folder.absolute()
    console.note("resume=auto: no unfinished sweep has these overrides; starting afresh.")
    return None


def _same(one: Record, other: Record) -> bool:
    """Whether two records are of the same sweep: how many jobs run at a time, and where, is no part of it."""
    names = [{text for text in record.overrides if not is_sweeps_own(text)} for record in (one, other)]
    return names[0] == names[1] and one.kind == other.kind


def _continued(folder: Path, fresh: Record) -> Record:
    earlier = records.load(folder)
    if set(earlier.base) != set(fresh.base):
        changed = sorted(set(earlier.base) ^ set(fresh.base))
        raise UserError(" ".join(changed), "a sweep goes on as it began", "start a new one, without resume=")
    earlier.overrides, earlier.metric, earlier.direction = fresh.overrides, fresh.metric, fresh.direction
    return earlier


def _fresh_folder(composed: Composed, given: Sequence[str]) -> Path:
    cfg = composed.cfg
    if cfg.sweep_dir is not None:
        return Path(cfg.sweep_dir).absolute()
    if any(resume.key(text) == "hydra.sweep.dir" for text in given):
        return Path(str(composed.hydra.sweep.dir)).absolute()
    name = composed.choices.get("sweep") or cfg.name or composed.choices.get("method") or "sweep"
    stamp, clean = time.strftime("%Y-%m-%d_%H-%M-%S"), re.sub(r"[^\w.-]+", "-", str(name))
    path = Path(str(cfg.output_dir)) / "sweeps" / f"{stamp}_{clean}"
    return runfolder.first_free(path.absolute())
