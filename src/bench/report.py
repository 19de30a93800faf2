"""The suite's results as csv, json and markdown with the machine's name, and as one figure."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from src.bench.timing import Result
from src.bench.unet_cases import Speed
from src.core import style
from src.core.environment import cpu_name, gpus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"speed": "how many times as fast as the plain way", "cost": "seconds with it over seconds without",
          "start": "seconds over those of `import torch`"}


def machine() -> str:
    """What the results were measured on."""
    cards = ", ".join(gpus()) or "no GPU"
    return f"{cpu_name()}, {torch.get_num_threads()} threads, {cards}, torch {torch.__version__}"


def line(item: Result | Speed) -> str:
    """One result as text."""
    if isinstance(item, Speed):
        used = "" if item.utilisation is None else f", {100 * item.utilisation:.1f} % of the card's peak"
        memory = "" if item.memory is None else f", {item.memory / 1e9:.1f} GB"
        return (f"{item.name}: {item.pictures / item.seconds:.2f} pictures/s at batch {item.pictures}, "
                f"{item.flops / 1e9:.1f} GFLOP a call{used}{memory}")
    if item.kind == "skipped":
        return f"{item.name}: skipped: {item.note}"
    return (f"{item.name}: {item.middle:.3f} ({item.low:.3f} to {item.high:.3f}), {item.one} {item.seconds_one:.4g} s, "
            f"{item.other} {item.seconds_other:.4g} s, {item.repeats} repetitions")


def earlier(folder: Path) -> dict[str, Result | Speed]:
    """Results in the folder by name, if they are of this machine: what is not measured again keeps its row."""
    file = folder / "results.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    if content.get("machine") != machine():
        return {}
    ratios = [Result(**{key: float("nan") if value is None else value for key, value in row.items()})
              for row in content["ratios"]]
    speeds = [Speed(**{item.name: row[item.name] for item in fields(Speed)}) for row in content["speeds"]]
    return {item.name: item for item in (*ratios, *speeds)}


def write(found: Sequence[Result | Speed], folder: Path) -> list[Path]:
    """All files of a run of the suite."""
    folder.mkdir(parents=True, exist_ok=True)
    ratios = [item for item in found if isinstance(item, Result)]
    speeds = [item for item in found if isinstance(item, Speed)]
    paths = [folder / name for name in ("results.json", "results.csv", "results.md", "ratios.png")]
    rows = [asdict(item) for item in ratios]
    content = {"machine": machine(), "ratios": rows, "speeds": [_speed(item) for item in speeds]}
    paths[0].write_text(json.dumps(content, indent=2).replace("NaN", "null") + "\n")
    with paths[1].open("w", newline="") as file:
        writer = csv.DictWriter(file, [item.name for item in fields(Result)])
        writer.writeheader()
        writer.writerows(rows)
    paths[2].write_text(markdown(ratios, speeds))
    draw([item for item in ratios if item.kind in TITLES], paths[3])
    return paths


def _speed(item: Speed) -> dict[str, Any]:
    return asdict(item) | {"pictures_a_second": item.pictures / item.seconds, "utilisation": item.utilisation}


def markdown(ratios: Sequence[Result], speeds: Sequence[Speed]) -> str:
    """One table for each kind of ratio."""
    parts = [f"Measured on: {machine()}"]
    for kind, title in TITLES.items():
        rows = [item for item in ratios if item.kind == kind]
        if rows:
            parts.append(f"| {title} | median (quartiles) | seconds | of what |\n|---|---|---|---|\n"
                         + "\n".join(map(_row, rows)))
    if speeds:
        parts.append("\n".join(f"- {line(item)}" for item in speeds))
    if skipped := [item for item in ratios if item.kind == "skipped"]:
        parts.append("\n".join(f"- not measured: {item.name}: {item.note}" for item in skipped))
    return "\n\n".join(parts) + "\n"


def _row(item: Result) -> str:
    return (f"| {item.name} | **{item.middle:.2f}** ({item.low:.2f} to {item.high:.2f}) | {item.seconds_one:.3g} "
            f"against {item.seconds_other:.3g} | `{item.one}` against `{item.other}`{_noted(item)} |")


def _noted(item: Result) -> str:
    return f"; {item.note}" if item.note else ""


def draw(rows: Sequence[Result], file: Path) -> None:
    """Bars from 1 to the median, whiskers between the quartiles, one panel for each kind."""
    kinds = [kind for kind in TITLES if any(item.kind == kind for item in rows)] or ["speed"]
    counts = [max(1, sum(item.kind == kind for item in rows)) for kind in kinds]
    height = 0.9 * len(kinds) + 0.3 * sum(counts)
    with style.page(file, 9, height, len(kinds), height_ratios=counts) as (_, grid):
        for axes, kind in zip(grid[:, 0], kinds, strict=True):
            _panel(axes, kind, [item for item in rows if item.kind == kind])


def _panel(axes: Axes, kind: str, own: Sequence[Result]) -> None:
    middle = [item.middle for item in own]
    spread = [[item.middle - item.low for item in own], [item.high - item.middle for item in own]]
    better = [value > 1 if kind == "speed" else value < 1.05 for value in middle]
    axes.barh(range(len(own)), [value - 1 for value in middle], left=1, xerr=spread, height=0.6,
              color=[style.BLUE if fine else style.ORANGE for fine in better],
              error_kw={"elinewidth": 1.2, "capsize": 2.5})
    axes.axvline(1, color=style.INK, linewidth=1)
    axes.grid(False, axis="y")
    axes.set_yticks(range(len(own)), [item.name for item in own])
    axes.invert_yaxis()
    axes.set_title(TITLES[kind])
