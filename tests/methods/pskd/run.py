"""Runs command lines of classifiers as `python -m src.run` does, in this process, and reads what they left behind."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from safetensors.torch import load_file

from src.core import signals
from src.run import run
from tests.plain import plainly

CONF = Path(__file__).parent / "conf"


class StopOnce(Callback):
    """A SIGTERM at the start of an epoch, unless the run goes on from a checkpoint."""

    def __init__(self, *, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch and trainer.ckpt_path is None:
            raise signals.StopRun(signal.SIGTERM)


class Runner:
    """`runner("method=pskd")`; its runs lie below one output folder."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def __call__(self, *overrides: str) -> int:
        return run(["--config-dir", str(CONF), "experiment=quarters", f"output_dir={self.output}", *overrides])

    @property
    def folder(self) -> Path:
        """The newest run folder."""
        return (self.output / "latest").resolve()

    @property
    def figures(self) -> dict[str, Any]:
        """metrics.json of the newest run."""
        return json.loads((self.folder / "metrics.json").read_text())

    def checkpoint(self, name: str = "last.ckpt") -> dict[str, Any]:
        return torch.load(self.folder / "checkpoints" / name, weights_only=True)

    def rows(self) -> list[dict[str, str]]:
        """metrics.csv without seconds."""
        with (self.folder / "metrics.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]

    def outcome(self) -> dict[str, Any]:
        """Everything that an interruption must not change."""
        stored = self.checkpoint()
        figures = {key: value for key, value in self.figures.items()
                   if "seconds" not in key and key not in ("command", "status")}
        return {"weights": plainly(stored["state_dict"]), "optimizer": plainly(stored["optimizer_states"]),
                "loss": plainly(stored["classifier"]["loss"]), "rows": self.rows(), "figures": figures,
                "export": plainly(load_file(self.folder / "export" / "model.safetensors"))}
