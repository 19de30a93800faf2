"""checkpoints/last.ckpt after every epoch, written so that a crash never leaves the run without one."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from src.core import atomic
from src.core.checkpoint_files import LAST, NEXT, PREVIOUS, refuse_damaged
from src.core.errors import FAILED_RUN, UserError


class AtomicCheckpointIO(TorchCheckpointIO):
    """Every checkpoint that Lightning saves is on the disk before it has its name.

    Lightning's own writes to the machine's folder for temporary files and moves the file from there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as draft, draft.open("wb") as stream:
            torch.save(checkpoint, stream)


class RunCheckpoint(Checkpoint):
    """Keeps ``last.ckpt``, the one before it as ``last-prev.ckpt``, and ``best.ckpt`` if a metric is named.

    Saves only at the end of an epoch: that state can be continued exactly. Lightning gives the epoch's row to the
    loggers only after that hook: so the file is ``next.ckpt`` until the row is written, and takes its place then.
    """

    def __init__(
        self, *, every_n_epochs: int = 1, monitor: str | None = None, mode: Literal["max", "min"] = "max"
    ) -> None:
        self.every_n_epochs, self.monitor, self.mode = max(every_n_epochs, 1), monitor, mode
        self.best_value: float | None = None
        self._verified = False
        self._waiting: tuple[int, bool] | None = None  # epochs behind next.ckpt, and whether it is the best

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if this epoch is due, the last one, or the best so far."""
        finished = trainer.current_epoch + 1
        last = trainer.should_stop or finished == trainer.max_epochs
        better = self._is_better(trainer)
        if not (last or better or finished % self.every_n_epochs == 0):
            return
        file = folder_of(trainer) / NEXT
        trainer.save_checkpoint(file, weights_only=False)
        if trainer.is_global_zero:
            self._verify(file)
        self._waiting = finished, better

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._settle(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run's last checkpoint; the test that follows reads the best one on every rank."""
        self._settle(trainer)
        trainer.strategy.barrier("checkpoint in place")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """A stop between two epochs."""
        if self._waiting is not None and trainer.current_epoch == self._waiting[0]:  # counts after the row
            self._settle(trainer)

    def _settle(self, trainer: Trainer) -> None:
        """Give the checkpoint that waits its place, now that the epoch's rows are written."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if hasattr(logger, "flush"):
                logger.flush()
        folder = folder_of(trainer)
        # The best one first: after a crash in between, the epoch is trained once more and found best again.
        if waiting[1]:
            copy_in_place(folder / NEXT, folder / "best.ckpt")
        put_in_place(folder / NEXT, folder / LAST, folder / PREVIOUS)

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value = state_dict["best_value"]

    def _is_better(self, trainer: Trainer) -> bool:
        value = trainer.callback_metrics.get(self.monitor) if self.monitor else None
        if value is None or not torch.isfinite(torch.as_tensor(value)).all():
            return False
        now, best = float(value), self.best_value
        if best is None or (now > best if self.mode == "max" else now < best):
            self.best_value = now
            return True
        return False

    def _verify(self, draft: Path) -> None:
        """Once a run: a checkpoint that cannot be read back must fail in the first epoch, not at the resume."""
        if self._verified:
            return
        try:
            torch.load(draft, weights_only=True, map_location="cpu", mmap=True)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise UserError(draft, f"the checkpoint holds more than tensors and plain containers ({reason})",
                            "convert what on_save_checkpoint stores", FAILED_RUN) from error
        self._verified = True


def folder_of(trainer: Trainer) -> Path:
    """Where a run's checkpoints are."""
    return Path(trainer.default_root_dir) / "checkpoints"


def put_in_place(ready: Path, last: Path, previous: Path) -> None:
    """Make a complete file the last checkpoint; at every moment one of ``last`` and ``previous`` is there."""
    if last.is_file():
        os.replace(last, previous)
    os.replace(ready, last)
    atomic.flush(last.parent)


def copy_in_place(source: Path, target: Path) -> None:
    """Copy with an atomic last step; a hard link where the disk has them."""
    with atomic.replacing(target) as draft:
        try:
            os.link(source, draft)
        except OSError:
            shutil.copyfile(source, draft)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running code from it. Raises ``UserError`` if it is missing, damaged or foreign."""
    if not path.is_file():
        raise UserError(path, "there is no such checkpoint", "give a .ckpt file or a run folder")
    refuse_damaged(path)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise UserError(path, f"not a checkpoint of plain containers ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise UserError(path, "this file is not a training checkpoint", "give checkpoints/last.ckpt of a run")
    return content


def check_identity(content: dict[str, Any], module: LightningModule, path: Path, free: Sequence[str] = ()) -> None:
    """Raise ``UserError`` naming both sides if the checkpoint belongs to another method or model; ``free`` may differ.
    """
    if not hasattr(module, "identity"):
        return
    stored, own = content.get("identity") or {}, dict(module.identity())
    wrong = [key for key in {**own, **stored} if key not in free and stored.get(key) != own.get(key)]
    if wrong:
        there = ", ".join(f"{key}={stored.get(key)}" for key in wrong)
        here = ", ".join(f"{key}={own.get(key)}" for key in wrong)
        raise UserError(path, f"the checkpoint is from {there}, this run is {here}",
                        "choose the checkpoint's method and model, or another checkpoint")
