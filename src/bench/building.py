"""A method out of the configuration, for benchmarks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

from src.core.build import build
from src.core.config.compose import compose, plain


def built(overrides: Sequence[str]) -> tuple[L.LightningModule, dict[str, Any]]:
    """The method that `python -m src.run <overrides>` would train, and its plain configuration."""
    cfg = plain(compose(list(overrides)).cfg)
    L.seed_everything(cfg["seed"], verbose=False)
    module = build(cfg["method"])
    module.seed, module.run_dir = cfg["seed"], Path(tempfile.mkdtemp())
    return module, cfg
