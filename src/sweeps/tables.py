"""A comparison as text: Markdown for people, CSV for programs."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from src.sweeps.comparison import ORDER, Comparison
from src.sweeps.paired import Difference, Spread
from src.sweeps.runs import Run

UNITS = "Errors and ECE are in percent, NLL in nats, AURC and E-AURC x 1000; lower is better in all of these."
COLUMNS = ("method", "figure", "n", "mean", "std", "reference",
           "diff_n", "diff_mean", "diff_std", "diff_low", "diff_high")


def markdown(found: Comparison) -> str:
    """For each group of figures a table of means, and one of differences if there is a reference."""
    units = f" {UNITS}" if any(name.rpartition("/")[2] in ORDER for name in found.names) else ""
    parts = [f"Mean ± standard deviation over seeds.{units}"]
    for group, members in groupby(found.names, lambda name: name.rpartition("/")[0]):
        names = list(members)
        parts += [f"### {group or 'run'}", _table(found, found.spreads, names, _mean)]
        if any(name in names for _, name in found.differences):
            parts += [f"Difference to {found.reference}, paired by seed [95 % interval of Student's t; bold where it "
                      "excludes zero, without correction for the number of comparisons]:",
                      _table(found, found.differences, names, _difference)]
    return "\n\n".join(parts) + "\n"


def write_csv(found: Comparison, file: Path) -> Path:
    """One line for each method and figure, numbers in full."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for (label, name), cell in found.spreads.items():
            paired = found.differences.get((label, name))
            row = {"method": label, "figure": name, **cell._asdict()}
            if paired:
                row |= {f"diff_{key}": value for key, value in paired._asdict().items()}
                row["reference"] = found.reference
            writer.writerow(row)
    return file


def write_runs(runs: Sequence[Run], names: Sequence[str], file: Path) -> Path:
    """What the means are of: one line for each run, what it lacks is empty."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["method", "seed", *names], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({"method": run.label, "seed": run.seed} | run.figures for run in runs)
    return file


def _table(found: Comparison, cells: dict[tuple[str, str], Any], names: list[str],
           text: Callable[[Any, int], str]) -> str:
    """One line for each method that has a cell; `n=` marks cells that rest on fewer seeds than others of their line."""
    decimals = {name: _decimals(found, name) for name in names}
    rows = [["method", "seeds", *(name.rpartition("/")[2] for name in names)], ["---", *["---:"] * (len(names) + 1)]]
    for label in found.labels:
        line = [cells.get((label, name)) for name in names]
        if most := max((cell.n for cell in line if cell), default=0):
            rows.append([label, str(most), *(
                "-" if cell is None else text(cell, decimals[name]) + (f" (n={cell.n})" if cell.n < most else "")
                for name, cell in zip(names, line, strict=True))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _decimals(found: Comparison, name: str) -> int:
    """Of a column: four digits of its largest mean."""
    largest = max(abs(cell.mean) for (_, figure), cell in found.spreads.items() if figure == name)
    return min(4, max(0, 3 - math.floor(math.log10(largest)))) if largest > 0 else 2


def _mean(cell: Spread, decimals: int) -> str:
    return f"{cell.mean:,.{decimals}f}" + ("" if cell.std is None else f" ± {cell.std:,.{decimals}f}")


def _difference(cell: Difference, decimals: int) -> str:
    mean = f"{cell.mean:+,.{decimals}f}"
    interval = "" if cell.low is None else f" [{cell.low:+,.{decimals}f}, {cell.high:+,.{decimals}f}]"
    return (f"**{mean}**" if cell.excludes_zero else mean) + interval
