"""Builds a method from the configuration, for benchmarks."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

from src.core import console
from src.core.build import build
from src.core.config.compose import compose, plain
from src.core.errors import BAD_INPUT, Problems


def overrides_given(doc: str | None) -> list[str]:
    """The words of a benchmark's command line, all of them overrides; `--help` is answered by the start of `doc`."""
    parser = argparse.ArgumentParser(prog=f"python -m {sys.modules['__main__'].__spec__.name}",
                                     description=" ".join((doc or "").split("\n\n")[0].split()))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for python -m src.run")
    return parser.parse_args().overrides


def built(overrides: Sequence[str]) -> tuple[L.LightningModule, dict[str, Any]]:
    """The method that `python -m src.run <overrides>` would train, and its plain configuration."""
    composed = compose(list(overrides))
    if composed.problems:
        console.fail(Problems(composed.problems))
        raise SystemExit(BAD_INPUT)
    cfg = plain(composed.cfg)
    L.seed_everything(cfg["seed"], verbose=False)
    module = build(cfg["method"])
    module.seed, module.run_dir = cfg["seed"], Path(tempfile.mkdtemp())
    return module, cfg
