"""What every run does beside its method."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from src.core.callbacks import RunState
from src.core.results import Results


def test_ranks_do_not_ask_each_other_through_their_devices_before_every_batch(tmp_path: Path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, **_: asked.append(tensor))
    monkeypatch.setattr(Trainer, "world_size", 2)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    loop = trainer.fit_loop.epoch_loop
    if not hasattr(loop, "_broadcast_sigterm_tensor"):
        pytest.skip("this Lightning does not ask")
    loop._broadcast_sigterm_tensor()
    assert len(asked) == 1
    RunState(0, 0, Results(tmp_path, "toy", 0, "train", "")).on_fit_start(trainer, LightningModule())
    loop._broadcast_sigterm_tensor()
    assert len(asked) == 1
