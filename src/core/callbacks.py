"""Callbacks of every run: seeds per epoch, stopping between batches, checkpoints that name their owner."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from src.core import signals
from src.core.processes import ranks
from src.core.results import Results


class RunState(Callback):
    """Makes an interrupted and continued run equal to one that was not.

    Every epoch starts from a seed of its own, so that no generator state has to survive: dropout, shuffling and
    augmentation of epoch e depend on (seed, e, rank) only. What a method draws from the global generators in
    ``train_dataloader()`` or ``on_train_epoch_start`` is not covered; it should seed a generator of its own there.
    """

    def __init__(self, seed: int, first_epoch: int, results: Results) -> None:
        self.seed, self.first_epoch, self.results = seed, first_epoch, results
        self.training_began = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning opens the data of the first epoch right after this, of later epochs after on_train_epoch_start:
        # seeding there too would shift the first epoch's random numbers.
        seed_everything(self.seed, self.first_epoch, trainer.global_rank)
        if trainer.world_size > 1 and hasattr(trainer.fit_loop.epoch_loop, "_broadcast_sigterm_tensor"):
            # Before every batch Lightning asks rank 0 for SIGTERM, through the devices; `stop_together` asks all.
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        signals.install()
        self.training_began = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stop_together(trainer)
        for logger in trainer.loggers:
            if hasattr(logger, "epoch"):
                logger.epoch = trainer.current_epoch
        if trainer.current_epoch != self.first_epoch:
            seed_everything(self.seed, trainer.current_epoch, trainer.global_rank)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        stop_together(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.results.save("running")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        signals.install()

    def on_test_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any, **__: Any) -> None:
        stop_together(trainer)

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any, **__: Any) -> None:
        stop_together(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if hasattr(pl_module, "identity"):
            checkpoint["identity"] = dict(pl_module.identity())
        close_epoch(checkpoint["loops"]["fit_loop"])


def stop_together(trainer: Trainer) -> None:
    """Raise the same ``StopRun`` on every rank at the same batch if any rank was asked to stop.

    The hosts ask each other: through the devices, as the strategy does it, every batch would wait for the one before.
    """
    if trainer.world_size == 1:
        signals.check_stop()
    elif why := signals.ORDER[ranks.largest(signals.ORDER.index(signals.requested()))]:
        raise signals.StopRun(why)


def seed_everything(seed: int, epoch: int, rank: int = 0) -> None:
    """Seed Python, NumPy and torch from (seed, epoch, rank); epoch -1 is for what comes before training."""
    state = np.random.SeedSequence([seed % 2**32, epoch + 1, rank]).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))


def close_epoch(loop: dict[str, Any]) -> None:
    """Mark the epoch as completed in a checkpoint of ``on_train_epoch_end``.

    Lightning counts it only after that hook; a run continued from such a checkpoint would ask for the data of the
    finished epoch once more.
    """
    progress = loop["epoch_progress"]
    for scope in ("total", "current"):
        progress[scope]["completed"] = progress[scope]["processed"]
    batches = loop["epoch_loop.batch_progress"]
    batches["current"] = dict.fromkeys(batches["current"], 0)
    batches["is_last_batch"] = False


def finished_epochs(checkpoint: dict[str, Any]) -> int:
    """Number of epochs a checkpoint has behind it."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"])
