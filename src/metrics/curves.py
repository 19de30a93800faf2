"""Curves of a run, drawn from its metrics.csv against the epochs."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from src.core import style


class Topic(NamedTuple):
    """One picture: its file name, title, label of the y-axis, and which figures it shows (``x`` of ``group/x``)."""

    file: str
    title: str
    label: str
    names: tuple[str, ...]


TOPICS = (
    Topic("loss", "Loss", "loss (nats)", ("loss",)),
    Topic("top1_error", "Top-1 error", "samples (%)", ("top1_err",)),
    Topic("top5_error", "Top-5 error", "samples (%)", ("top5_err",)),
    Topic("nll", "Negative log-likelihood", "nats", ("nll",)),
    Topic("brier", "Brier score", "", ("brier",)),
    Topic("ece", "Expected calibration error", "percent", ("ece",)),
    Topic("aurc", "Area under the risk-coverage curve", "x 1000", ("aurc", "eaurc")),
    Topic("alpha", "Weight of the past prediction", "alpha", ("alpha",)),
    Topic("gradient_factor", "Gradient relative to cross-entropy", "factor", ("gradient_factor",)),
    Topic("row_age", "Age of the past predictions", "epochs", ("row_age",)),
    Topic("learning_rate", "Learning rate", "", ("lr",)),
)
COLOURS = {"train": style.BLUE, "val": style.ORANGE, "test": style.GREEN}
HIDDEN = ("best",)  # of the best epoch, but logged at the end: a point of no place on the axis


def curves(metrics: Path, folder: Path) -> list[Path]:
    """One PNG in ``folder`` for each topic that has points in ``metrics`` (metrics.csv); returns the files.

    Figures that were logged several times in an epoch are shown by their mean.
    """
    if not metrics.is_file():
        return []
    columns = read_columns(metrics)
    drawn = []
    for topic in TOPICS:
        shown = {name: points for name, points in columns.items() if _belongs(name, topic)}
        if shown:
            drawn.append(_draw(shown, topic, folder / f"{topic.file}.png"))
    return drawn


def read_columns(file: Path) -> dict[str, dict[float, float]]:
    """Column -> {epoch: mean of its values in that epoch}; what is no number is left out."""
    values: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            epoch = _number(row.pop("epoch", None))
            for name, text in row.items():
                value = _number(text)
                if name and name != "step" and value is not None and epoch is not None and epoch >= 0:
                    values[name][epoch].append(value)
    return {name: {epoch: sum(some) / len(some) for epoch, some in sorted(points.items())}
            for name, points in values.items()}


def _number(text: str | list[str] | None) -> float | None:
    try:
        return float(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _belongs(column: str, topic: Topic) -> bool:
    group, _, name = column.rpartition("/")
    return group not in HIDDEN and any(name in (known, f"{known}15") or name.startswith((f"{known}_", f"{known}-"))
                                       for known in topic.names)


def _draw(columns: dict[str, dict[float, float]], topic: Topic, file: Path) -> Path:
    with style.page(file, 5.6, 3.3) as (_, grid):
        axes = grid[0, 0]
        spare = iter(range(len(columns)))
        for name, points in sorted(columns.items()):
            group, _, rest = name.rpartition("/")
            colour = COLOURS.get(group) or style.colour(next(spare))
            line = "--" if rest.endswith(("15", "_max", "_min")) or rest.startswith("eaurc") else "-"
            axes.plot(list(points), list(points.values()), line, color=colour, label=name,
                      marker="o" if len(points) < 12 else None, markersize=4)
        axes.set(title=topic.title, xlabel="epoch", ylabel=topic.label)
        axes.margins(x=0.02)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(columns) > 1 or "/" in next(iter(columns)):
            axes.legend()
    return file
