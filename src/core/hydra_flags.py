"""Hydra's own flags: ``--cfg``, ``--info``, ``--multirun`` and the like go through ``hydra.main``."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from src.core.compose import CONF, ROOT, SecondRoot


def delegate(argv: Sequence[str], roots: Sequence[Path] = ()) -> int:
    """Let Hydra answer the flags, or run each job of a sweep as a process of its own; the largest exit code."""
    Plugins.instance().register(SecondRoot)
    codes = [0]
    flags = [f"--config-dir={root}" for root in roots]

    def job(cfg: DictConfig) -> None:
        codes.append(_own_process(flags))

    before = sys.argv
    sys.argv = [before[0], *argv]
    try:
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(job)()
    finally:
        sys.argv = before
    return max(codes)


def _own_process(flags: Sequence[str]) -> int:
    """One job of a sweep. A Lightning-launched multi-GPU job would else start the whole sweep again on rank 1."""
    node = HydraConfig.get()
    folder = Path(node.sweep.dir) / node.sweep.subdir
    command = [sys.executable, "-m", "src.run", *_split(flags), *node.overrides.task, "hydra.mode=RUN",
               f"hydra.run.dir={folder}"]
    return subprocess.run(command, cwd=ROOT if Path.cwd() == ROOT else None, check=False).returncode


def _split(flags: Sequence[str]) -> list[str]:
    return [part for flag in flags for part in flag.split("=", 1)]
