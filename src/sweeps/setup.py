"""From the command line to a sweep that is known to be possible; nothing is created."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from src.core import runfolder
from src.core.build import build
from src.core.config import words
from src.core.config.command_line import Arguments
from src.core.config.compose import Composed, compose, config_roots
from src.core.errors import UserError
from src.sweeps import earlier, space, sweep_keys
from src.sweeps import record as records
from src.sweeps.checks import check_space
from src.sweeps.commands import is_sweeps_own
from src.sweeps.local import Launcher
from src.sweeps.record import Record
from src.sweeps.sweepers import Sweeper


@dataclass
class Setup:
    """A checked sweep."""

    folder: Path
    record: Record
    space: space.Space
    sweeper: Sweeper
    launcher: Launcher


def prepare(arguments: Arguments) -> Setup:
    """Compose, find what is to be continued, check every value. Raises ``UserError`` with every problem at once."""
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise UserError("WORLD_SIZE", "a sweep starts the processes of its jobs itself", "start it without torchrun")
    given, roots, folder = list(arguments.overrides), [str(root) for root in arguments.roots], None
    if named := runfolder.sweep_named(given):
        folder, known = named, records.load(named)
        given = words.merge(known.overrides, [text for text in given if words.key(text) != "resume"])
        roots = list(dict.fromkeys([*known.roots, *roots]))
    paths = [Path(root) for root in roots]
    sweep_keys.check_typed(given)
    composed = compose(given, paths, sweep=True)
    varied, base, parts = _read(composed, given, paths, is_file=any(words.key(text) == "sweep" for text in given))
    cfg = composed.cfg
    fresh = Record([text for text in given if words.key(text) not in ("resume", "sweep_dir")], base, roots,
                   parts[0].kind, *sweep_keys.aim(cfg), space={key: one.typed for key, one in varied.items()})
    folder = folder or earlier.find(cfg, fresh)
    parts[0].check(varied, fresh, folder)
    trainers = check_space(varied, base, paths)
    found = folder or _fresh_folder(composed, given)
    record = earlier.continued(found, fresh) if folder else fresh
    runfolder.check_writable(found)
    parts[1].prepare(found, trainers, cfg.jobs)
    return Setup(found, record, varied, *parts)


def _read(composed: Composed, given: Sequence[str], roots: list[Path],
          is_file: bool) -> tuple[space.Space, list[str], tuple[Sweeper, Launcher]]:
    """What varies, what every job has, and the objects that propose and start jobs."""
    nodes = {name: OmegaConf.to_container(composed.hydra[name], resolve=True) for name in ("sweeper", "launcher")}
    sweep_keys.check_composed(composed, nodes)
    params = dict(nodes["sweeper"].get("params") or {})
    with config_roots(roots) as loader:
        varied, base = space.read(params, [text for text in given if not is_sweeps_own(text)], loader)
    if is_file and not varied:
        raise UserError(f"sweep={composed.choices.get('sweep')}", "nothing varies in it: hydra.sweeper.params names no "
                        "key with several values", "add one, as in seed=0,1,2")
    parts = [build({**node, "params": {}} if "params" in node else node) for node in nodes.values()]
    return varied, base, (parts[0], parts[1])


def _fresh_folder(composed: Composed, given: Sequence[str]) -> Path:
    cfg = composed.cfg
    if cfg.sweep_dir is not None:
        return Path(cfg.sweep_dir).absolute()
    if any(words.key(text) == "hydra.sweep.dir" for text in given):
        return Path(str(composed.hydra.sweep.dir)).absolute()
    name = composed.choices.get("sweep") or cfg.name or composed.choices.get("method") or "sweep"
    stamp, clean = time.strftime("%Y-%m-%d_%H-%M-%S"), re.sub(r"[^\w.-]+", "-", str(name))
    path = Path(str(cfg.output_dir)) / "sweeps" / f"{stamp}_{clean}"
    return runfolder.first_free(path.absolute())
