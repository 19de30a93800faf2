"""Silence what libraries print about themselves; what concerns the user comes from the console module."""

import logging
import os
import warnings

_LIGHTNING_WARNINGS = (
    r".*does not have many workers.*",
    r".*smaller than the logging interval.*",
    r".*module\(s\) in eval mode at the start of training.*",
    r".*Trying to infer the `batch_size`.*",
    r".*GPU available but not used.*",
    r".*`srun` command is available on your system but is not used.*",  # tasks.py says it where it matters
    r".*It is recommended to use `self.log.*sync_dist=True.*",  # exact before they are logged
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*[Yy]ou .*are resuming from a checkpoint that ended before the epoch ended.*",
    r"Total length of .* across ranks is zero.*",
    r"Your `IterableDataset` has `__len__` defined.*",
)


def before_import() -> None:
    """Environment variables that libraries read when they are imported."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("WANDB_SILENT", "true")


def after_import() -> None:
    """Log levels and warning filters; Lightning sets its own when it is imported, so this comes later."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in _LIGHTNING_WARNINGS:
        warnings.filterwarnings("ignore", pattern)
