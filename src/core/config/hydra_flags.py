"""Hydra's own flags, ``--cfg``, ``--info`` and the like, go through ``hydra.main``; they show and run nothing."""

import sys

import hydra
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from src.core.config.command_line import Arguments
from src.core.config.compose import SecondRoot, compose
from src.core.errors import Problems
from src.core.places import CONF


def delegate(arguments: Arguments) -> int:
    """Let Hydra answer the flags.

    Raises ``UserError`` before Hydra could complain in its own words.
    """
    if arguments.composes:
        problems = compose(arguments.overrides, arguments.roots).problems
        if problems:
            raise Problems(problems)
    Plugins.instance().register(SecondRoot)
    before, roots = sys.argv, SecondRoot.roots
    SecondRoot.roots = [*roots, *arguments.roots]  # Hydra's own --config-dir takes one folder only
    # Overrides go last: argparse refuses them on both sides of a flag.
    sys.argv = [before[0], *arguments.flags, *arguments.overrides]
    try:
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(_nothing)()
    finally:
        sys.argv, SecondRoot.roots = before, roots
    return 0


def _nothing(cfg: DictConfig) -> None:
    """Flags only show something."""
