"""Settings of a sweep from best to worst: mean and spread over seeds, and paired differences to the best one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.table import Table
from rich.text import Text

from src.core.console import number
from src.sweeps.paired import Difference, Spread, difference, spread
from src.sweeps.record import short_names
from src.sweeps.rows import Row, Rows, unrepeated

MOST_LINES = 40


@dataclass(frozen=True)
class Ranked:
    """Rows of one setting; ``copies``: runs of a seed that another stands for; ``to_best``: the difference to the best
    setting over equal seeds."""

    rows: list[Row]
    copies: int
    objective: Spread | None
    seconds: Spread | None
    to_best: Difference | None = None

    @property
    def finished(self) -> int:
        return sum(row.status == "finished" for row in self.rows)


def rank(found: Rows) -> list[Ranked]:
    """Best first; those without the figure last."""
    groups: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in found.rows:
        groups.setdefault(row.setting, []).append(row)
    ranked = [_ranked(rows) for rows in groups.values()]
    ranked.sort(key=lambda one: (one.objective is None, found.better(one.objective.mean) if one.objective else 0.0))
    best = _by_seed(ranked[0].rows)
    return [ranked[0], *(replace(one, to_best=difference(_by_seed(one.rows), best)) for one in ranked[1:])]


def table(found: Rows, ranked: list[Ranked]) -> Table:
    """The ranking as a table for the console."""
    keys, names = found.keys, short_names(found.keys)
    paired = any(one.to_best and one.to_best.n > 1 for one in ranked)
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for key in keys:
        shown.add_column(names[key], style="cyan", overflow="fold")
    for column in [found.metric or "figure", *(["to the best"] if paired else []), "runs", "seconds"]:
        shown.add_column(column, justify="right")
    for one in ranked[:MOST_LINES]:
        values = one.rows[0].values
        shown.add_row(*(Text(values.get(key, "-")) for key in keys), _mean(one.objective),
                      *([_to_best(one.to_best)] if paired else []), _runs(one),
                      "-" if one.seconds is None else number(round(one.seconds.mean, 1)))
    return shown


def remark(found: Rows, ranked: list[Ranked]) -> str:
    """What the table's order and cells mean."""
    parts = []
    if found.metric and not found.fault:
        parts.append(f"{found.metric}, best ({'largest' if found.direction == 'maximize' else 'smallest'}) first")
    if any(one.objective and one.objective.n > 1 for one in ranked):
        parts.append("mean ± standard deviation over seeds")
    if any(one.to_best and one.to_best.n > 1 for one in ranked):
        parts.append("difference to the best over equal seeds with its 95 % interval")
    if copies := sum(one.copies for one in ranked):
        parts.append(f"{copies} repeated runs of a seed are not counted, only the last one of each is")
    if len(ranked) > MOST_LINES:
        parts.append(f"{len(ranked) - MOST_LINES} more in results.csv")
    choice = f"Judged by {found.metric}: {found.why}. Another: report --metric <figure>, or optimized_metric=<figure>."
    return "; ".join(parts) + (f"\n{choice}" if found.why else "")


def _ranked(rows: list[Row]) -> Ranked:
    judged = [row for row in rows if row.objective is not None]
    once = unrepeated(judged)
    return Ranked(rows, len(judged) - len(once), _spread([row.objective for row in once]),
                  _spread([row.seconds for row in rows]))


def _by_seed(rows: list[Row]) -> dict[int, float]:
    return {row.seed: row.objective for row in rows if row.objective is not None and row.seed is not None}


def _spread(values: list[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return spread(known) if known else None


def _mean(cell: Spread | None) -> str:
    if cell is None:
        return "-"
    return number(cell.mean) + ("" if cell.std is None else f" ± {number(cell.std)}")


def _to_best(cell: Difference | None) -> str:
    if cell is None:
        return ""
    interval = "" if cell.low is None else rf" \[{number(cell.low, sign=True)}, {number(cell.high, sign=True)}]"
    return number(cell.mean, sign=True) + interval


def _runs(one: Ranked) -> str:
    """How many finished; the others by name."""
    others: dict[str, int] = {}
    for row in one.rows:
        if row.status != "finished":
            others[row.status] = others.get(row.status, 0) + 1
    return ", ".join([str(one.finished), *(f"{count} {status}" for status, count in others.items())])
