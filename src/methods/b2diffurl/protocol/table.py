"""The protocol as a table: protocol.csv and protocol.json for other programs, sorted tables on the console."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from src.core import console
from src.methods.b2diffurl.evaluation import SPLITS
from src.methods.b2diffurl.protocol.outcome import Outcome

QUERIES = "cost/reward_queries"
NO_BEST = ("kl_base",)  # a distance that is neither good nor bad


def rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One row for each state and list of prompts, every figure a column."""
    return [{"run": outcome.run, "state": outcome.label, "stage": outcome.stage, "prompts": split,
             QUERIES: outcome.queries, **figures}
            for outcome in outcomes for split, figures in outcome.figures.items()]


def write(outcomes: Sequence[Outcome], settings: Mapping[str, Any], folder: Path) -> list[Path]:
    """protocol.csv and protocol.json, which holds the settings too."""
    table = rows(outcomes)
    files = [folder / "protocol.csv", folder / "protocol.json"]
    with files[0].open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in table for name in row)))
        writer.writeheader()
        writer.writerows(table)
    files[1].write_text(json.dumps({"settings": settings, "rows": table}, indent=2, ensure_ascii=False) + "\n")
    return files


def ordered(outcomes: Sequence[Outcome], reward: str) -> list[Outcome]:
    """The untrained model, then the runs by the reward of their last state, best first, each in the order of stages."""
    best: dict[str, float] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.stage):
        best[outcome.run] = outcome.figures.get("eval", {}).get(reward, 0.0)
    return sorted(outcomes, key=lambda outcome: (bool(outcome.run), -best[outcome.run], outcome.run, outcome.stage))


def columns(outcomes: Sequence[Outcome]) -> list[str]:
    """Figures worth a column: everything but details."""
    names = dict.fromkeys(name for outcome in outcomes for figures in outcome.figures.values() for name in figures)
    return [name for name in names if "/" not in name]


def show(outcomes: Sequence[Outcome], reward: str) -> None:
    """One table for each list of prompts; the best value of a column is bold."""
    if not console.is_main_process():
        return
    for split in dict.fromkeys(split for outcome in outcomes for split in outcome.figures):
        console.out.print(_table([outcome for outcome in ordered(outcomes, reward) if split in outcome.figures], split))


def _table(outcomes: Sequence[Outcome], split: str) -> Table:
    names, several = columns(outcomes), len({outcome.run for outcome in outcomes if outcome.run}) > 1
    best = {name: max(outcome.figures[split].get(name, -float("inf")) for outcome in outcomes)
            for name in names if name not in NO_BEST}
    table = Table(title=SPLITS.get(split, split), title_justify="left", title_style="bold", box=None, pad_edge=False,
                  padding=(0, 2, 0, 0))
    for name in (["run"] if several else []) + ["state"]:
        table.add_column(name, style="cyan", no_wrap=True)
    for name in ["queries", *names]:
        table.add_column(name.replace("_", " "), justify="right")
    for outcome in outcomes:
        head = ([outcome.run or "-"] if several else []) + [outcome.label, console.number(outcome.queries)]
        table.add_row(*head, *(_cell(outcome.figures[split].get(name), best.get(name)) for name in names))
    return table


def _cell(value: float | None, best: float | None) -> Text:
    return Text(console.number(value), style="bold" if value is not None and value == best else "")
