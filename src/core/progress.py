"""Bars on a terminal, plain lines elsewhere."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from src.core import console

QUIET_SECONDS = 15.0


class _Phase:
    """One open phase: how far it is, and when it last said so."""

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self.name, self.total, self.unit, self.done = name, total, unit, 0
        self.spoke = time.monotonic()
        self.task: TaskID | None = None

    def line(self) -> str:
        """The phase as text: ``sampling 4/10 steps``."""
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        return f"{self.name} {count} {self.unit}".rstrip()


class ConsoleProgress(Callback):
    """An outer bar that counts epochs with the time left, and below it the phases that are under way.

    A module may name its epochs (``epoch_name = "stage"``). Metrics logged with ``prog_bar=True`` stand behind.
    """

    def __init__(self) -> None:
        self.live = console.out.is_terminal
        self.bars: Progress | None = None
        self.outer: TaskID | None = None
        self.phases: list[_Phase] = []
        self.first_epoch, self.started = 0, 0.0
        self._batches: _Phase | None = None

    def open(self, name: str, total: int | None, unit: str) -> _Phase:
        """Begin a phase."""
        item = _Phase(name, total, unit)
        if self.live:
            self._show()
            item.task = self.bars.add_task(f"  {name}", total=total, note=unit)
        self.phases.append(item)
        return item

    def advance(self, item: _Phase, count: int) -> None:
        """Move a phase; without a terminal, a long one says so every 15 seconds."""
        item.done += count
        if self.bars is not None and item.task is not None:
            self.bars.update(item.task, completed=item.done)
        elif time.monotonic() - item.spoke > QUIET_SECONDS:
            item.spoke = time.monotonic()
            console.note(f"  {item.line()}")

    def close(self, item: _Phase) -> None:
        """End a phase; its bar goes away."""
        if item in self.phases:
            self.phases.remove(item)
        if self.bars is not None and item.task is not None and item.task in self.bars.task_ids:
            self.bars.remove_task(item.task)
        if not self.phases and self.outer is None:
            self.hide()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.first_epoch, self.started, self.outer = -1, time.monotonic(), None
        if self.live and trainer.is_global_zero:
            self._show()
            self.outer = self.bars.add_task(epoch_name(pl_module), total=epochs(trainer), note="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.first_epoch = trainer.current_epoch
        if self.bars is not None and self.outer is not None:
            # reset, not update: epochs of an earlier part of the run say nothing about this one's pace
            self.bars.reset(self.outer, completed=trainer.current_epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        count = trainer.num_training_batches
        if trainer.is_global_zero:
            self._batches = self.open("training", int(count) if count != float("inf") else None, "batches")

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        if self._batches is not None:
            self.advance(self._batches, 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close_batches()
        if not trainer.is_global_zero:
            return
        done, metrics = trainer.current_epoch + 1, metrics_line(trainer)
        if self.bars is not None and self.outer is not None:
            self.bars.update(self.outer, completed=done, note=metrics)
        else:
            console.note(f"{epoch_name(pl_module)} {done}/{epochs(trainer) or '?'}  {self._pace(trainer)}  {metrics}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close_batches()
        self.hide()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total = sum(int(count) for count in trainer.num_test_batches if count != float("inf"))
        if trainer.is_global_zero and total > 1:
            self._batches = self.open("evaluating", total, "batches")

    def on_test_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        if self._batches is not None:
            self.advance(self._batches, 1)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close_batches()
        self.hide()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.hide()

    def hide(self) -> None:
        """Take the bars off the screen."""
        if self.bars is not None:
            self.bars.stop()
        self.bars, self.outer, self.phases, self._batches = None, None, [], None

    def _show(self) -> None:
        if self.bars is None:
            self.bars = Progress(TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(),
                                 TimeRemainingColumn(elapsed_when_finished=True),
                                 TextColumn("[dim]{task.fields[note]}"), console=console.out, transient=True,
                                 speed_estimate_period=3600.0)
            self.bars.start()

    def _close_batches(self) -> None:
        if self._batches is not None:
            self.close(self._batches)
            self._batches = None

    def _pace(self, trainer: Trainer) -> str:
        """Seconds an epoch so far, and the time left at that pace."""
        done = trainer.current_epoch + 1 - max(self.first_epoch, 0)
        pace = (time.monotonic() - self.started) / max(done, 1)
        total = epochs(trainer)
        left = f", {clock(pace * (total - trainer.current_epoch - 1))} left" if total else ""
        return f"{pace:.1f} s each{left}"


def epochs(trainer: Trainer) -> int | None:
    """Epochs this run will have; None if it has no limit."""
    return trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None


def epoch_name(module: LightningModule) -> str:
    """What the method calls an epoch."""
    return str(getattr(module, "epoch_name", "epoch"))


def metrics_line(trainer: Trainer) -> str:
    """The metrics logged with ``prog_bar=True`` as ``name=value``."""
    found = {name: value for name, value in trainer.progress_bar_metrics.items() if name != "v_num"}
    return "  ".join(f"{name}={console.number(float(value))}" for name, value in found.items())


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``, with hours where needed."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
