"""What a run that goes on may not change: Lightning restores the optimiser and the schedule's count of steps, and would
pass over another value without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.core.callbacks import finished_epochs
from src.core.errors import UserError

STORED = {"lr": "initial_lr", "weight_decay": "weight_decay", "momentum": "momentum", "nesterov": "nesterov"}


def same(key: str, now: object, then: object, rule: str) -> None:
    """Raises UserError if the value of an option is not the checkpoint's."""
    if now != then:
        raise UserError(f"{key}={now}", f"the checkpoint has {then}: {rule}",
                        f"resume with {key}={then}, or start afresh")


def same_optimiser(method: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> None:
    """Raises UserError if one of the optimiser's numbers in `method` is not the checkpoint's. AdamW has no momentum."""
    group = checkpoint["optimizer_states"][0]["param_groups"][0]
    for name, stored in STORED.items():
        if stored in group:
            same(f"method.{name}", method[name], group[stored], "the optimiser goes on as it was started")


def same_steps(batch_size: int, steps: int, checkpoint: Mapping[str, Any]) -> None:
    """Raises UserError if an epoch has not as many optimiser steps as the checkpoint's: the learning rate depends on
    their number. Another number of devices changes nothing, as they share a batch."""
    epochs, taken = finished_epochs(checkpoint), checkpoint["global_step"]
    if taken != steps * epochs:
        raise UserError(f"method.batch_size={batch_size}", f"the checkpoint has {taken / epochs:g} steps an epoch, and "
                        f"this run {steps}: the learning rate's schedule counts them", "resume with the batch size, "
                        "trainer options and as many pictures as the run began with, or start afresh")


def same_averages(decay: float | None, checkpoint: Mapping[str, Any]) -> None:
    """Raises UserError if only one of the run and the checkpoint has averaged weights."""
    kept = any(key.startswith("average.") for key in checkpoint["state_dict"])
    if kept != (decay is not None):
        raise UserError(f"method.ema_decay={'null' if decay is None else decay}",
                        f"the checkpoint holds {'averaged weights too' if kept else 'no averaged weights'}",
                        f"leave method.ema_decay as its run had it{'' if kept else ', null'}, or start afresh")
