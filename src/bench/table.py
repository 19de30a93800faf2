"""Runs side by side: `python -m src.bench.table outputs/runs [--curve eval/all_right --out comparison.png]`.

Groups finished runs by their command without the seed, prints mean and standard deviation over seeds of the figures
before and after as a Markdown table, and draws one metric of all runs against the reward queries.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from src.methods.b2diffurl.plots import read_columns

SHOWN = ("eval/all_right", "heldout/all_right", "eval/clip", "heldout/clip", "diversity/latent")
PLACE = re.compile(r"(seed|name|output_dir|run_dir|logger|resume|hydra\.[\w.]+)=")  # says where, not what
COSTS = ("cost/reward_queries", "cost/unet_evaluations", "seconds")


def finished(folder: Path) -> dict[str, list[tuple[Path, dict[str, Any]]]]:
    """Label -> runs; the label is the run's command without program, seed and folders."""
    groups: dict[str, list[tuple[Path, dict[str, Any]]]] = defaultdict(list)
    for file in sorted(folder.glob("*/metrics.json")):
        figures = json.loads(file.read_text())
        if figures.get("status") == "finished" and figures.get("mode") == "train":
            groups[label(figures["command"])].append((file.parent, figures))
    return dict(groups)


def label(command: str) -> str:
    """`method=ddpo method.lr=1e-4` of a whole command line."""
    words = command.split("src.run", 1)[-1].split()
    return " ".join(word for word in words if not PLACE.match(word)) or "default"


def spread(values: list[float]) -> str:
    """Mean and standard deviation (n - 1) in three digits."""
    mean = statistics.fmean(values)
    digits = 0 if abs(mean) >= 100 else 3
    around = f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else ""
    return f"{mean:,.{digits}f}{around}"


def markdown(groups: dict[str, list[tuple[Path, dict[str, Any]]]]) -> str:
    """One line per group: figures after training (and before, once), then the costs."""
    lines = ["| run | seeds | " + " | ".join([*SHOWN, *COSTS]) + " |", "|---|---|" + "---|" * (len(SHOWN) + len(COSTS))]
    every = [figures for runs in groups.values() for _, figures in runs]
    if every:
        lines.append(_row("*base model*", every[:1], "_before", ()))
    lines += [_row(f"`{name}`", [figures for _, figures in runs], "_after", COSTS) for name, runs in groups.items()]
    return "\n".join(lines)


def _row(name: str, runs: list[dict[str, Any]], suffix: str, costs: tuple[str, ...]) -> str:
    cells = [spread([run[f"{figure}{suffix}"] for run in runs]) for figure in SHOWN]
    cells += [spread([run[cost] for run in runs]) for cost in costs] or ["-"] * len(COSTS)
    seeds = ", ".join(str(run["seed"]) for run in runs) if costs else "-"
    return f"| {name} | {seeds} | " + " | ".join(cells) + " |"


def draw(groups: dict[str, list[tuple[Path, dict[str, Any]]]], column: str, file: Path) -> None:
    """Thin lines are runs, the thick one is their mean (points are shared, as runs of a group have one budget)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=110)
    axes = figure.subplots()
    for place, (name, runs) in enumerate(groups.items()):
        curves = [sorted(read_columns(folder / "metrics.csv")[column]) for folder, _ in runs]
        curves = [[(0.0, run[f"{column}_before"]), *curve] for curve, (_, run) in zip(curves, runs, strict=True)]
        for curve in curves:
            axes.plot(*zip(*curve, strict=True), color=f"C{place}", alpha=0.3, linewidth=1)
        shared = [(rows[0][0], statistics.fmean(value for _, value in rows)) for rows in zip(*curves, strict=False)]
        axes.plot(*zip(*shared, strict=True), color=f"C{place}", linewidth=2.2, label=name)
    axes.set(xlabel="reward queries", ylabel=column)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--curve", default="eval/all_right", help="column of metrics.csv to draw")
    parser.add_argument("--out", type=Path, help="PNG to draw it to")
    options = parser.parse_args()
    groups = finished(options.folder)
    if not groups:
        sys.exit(f"{options.folder}: no finished training run. Give a folder of run folders, such as outputs/runs")
    sys.stdout.write(markdown(groups) + "\n")
    if options.out:
        draw(groups, options.curve, options.out)


if __name__ == "__main__":
    main()
