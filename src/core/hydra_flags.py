"""Hydra's own flags: ``--cfg``, ``--info``, ``--multirun`` and the like go through ``hydra.main``."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from src.core import plan
from src.core.command_line import Arguments
from src.core.compose import CONF, SecondRoot, compose
from src.core.errors import Problems


def delegate(arguments: Arguments) -> int:
    """Let Hydra answer the flags, or run each job of a sweep as a process of its own; the largest exit code.

    Raises ``UserError`` before Hydra could complain in its own words.
    """
    if arguments.multirun:
        plan.check_only(arguments.overrides, arguments.roots, sweep=True)
    elif arguments.composes:
        problems = compose(arguments.overrides, arguments.roots).problems
        if problems:
            raise Problems(problems)
    Plugins.instance().register(SecondRoot)
    codes = [0]

    def job(cfg: DictConfig) -> None:
        codes.append(_own_process(arguments.roots))

    before, roots = sys.argv, SecondRoot.roots
    SecondRoot.roots = [*roots, *arguments.roots]  # Hydra's own --config-dir takes one folder only
    # Overrides go last: argparse refuses them on both sides of a flag.
    sys.argv = [before[0], *arguments.flags, *arguments.overrides]
    try:
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(job)()
    finally:
        sys.argv, SecondRoot.roots = before, roots
    return max(codes)


def _own_process(roots: Sequence[Path]) -> int:
    """One job of a sweep. A Lightning-launched multi-GPU job would else start the whole sweep again on rank 1."""
    node = HydraConfig.get()
    folder = Path(node.sweep.dir) / node.sweep.subdir
    flags = [word for root in roots for word in ("--config-dir", str(root))]
    command = [sys.executable, "-m", "src.run", *flags, *node.overrides.task, "hydra.mode=RUN",
               f"hydra.run.dir={folder}"]
    # Ctrl-C reaches the run as well, which saves and ends; only then does the sweep end.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if code in (130, 143):
        raise SystemExit(code)
    return code
