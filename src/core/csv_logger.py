"""metrics.csv: one row per call of ``self.log``, written at once, continued exactly after an interruption."""

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from src.core import atomic


class CSVRows(Logger):
    """Appends to ``<run folder>/metrics.csv``. Columns may join later; numbers are written in full.

    Every row has ``step`` (batches trained so far) and ``epoch`` (0-based; -1 before training, the number of epochs
    after it).
    """

    def __init__(self) -> None:
        super().__init__()
        self.file: Path | None = None
        self.epoch = -1  # core sets it at the start of each epoch
        self._columns: list[str] = []
        self._kept: range | None = None

    def attach_run(self, folder: Path, **_: Any) -> None:
        """Write to this run's folder; called by core before anything is logged."""
        self.file = folder / "metrics.csv"
        self._columns = _read(self.file)[0]

    def keep_until(self, epoch: int, before: bool = True) -> None:
        """Drop the rows after ``epoch`` (the checkpoint's last finished one) as soon as there are new ones.

        -1 keeps what came before training; ``before=False`` drops that too, where it is done once more.
        """
        self.epoch, self._kept = epoch, range(-1 if before else 0, epoch + 1)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """One row. Columns seen for the first time are added to the header."""
        if self.file is None:
            return
        row = {"step": step, "epoch": self.epoch, **{key: _text(value) for key, value in metrics.items()}}
        if self.epoch < 0:
            row["epoch"] = self.epoch
        new = [key for key in row if key not in self._columns]
        if new or self._kept is not None:
            rows = [old for old in _read(self.file)[1] if self._kept is None or _epoch(old) in self._kept]
            self._columns, self._kept = self._columns + new, None
            self._rewrite(rows)
        with atomic.naming(self.file), self.file.open("a", newline="") as stream:
            csv.DictWriter(stream, self._columns, restval="", lineterminator="\n").writerow(row)

    def flush(self) -> None:
        """Wait until the rows are on the disk: a checkpoint must not outlive the rows of its epochs."""
        if self.file is not None and self.file.is_file():
            atomic.flush(self.file)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """config.yaml has them."""

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        with atomic.replacing(self.file) as draft, draft.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self._columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _read(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows; a last line that was cut off by a crash is left out."""
    if not file.is_file():
        return [], []
    text = file.read_text()
    lines = (text if text.endswith("\n") else text[: text.rfind("\n") + 1]).splitlines()
    reader = csv.DictReader(lines)
    rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    return list(reader.fieldnames or []), rows


def _epoch(row: dict[str, str]) -> int:
    return int(float(row.get("epoch") or 0))


def _text(value: Any) -> Any:
    return repr(float(value)) if isinstance(value, float) else value
