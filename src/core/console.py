"""All text a run prints: notes, errors, the banner at the start, the table at the end."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from src.core.errors import UserError

# Without a terminal nobody resizes a window: paths in a log stay on one line.
LOG_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160

ERROR = ("error:", "bold red")
out = Console(highlight=False, width=LOG_WIDTH)
err = Console(stderr=True, highlight=False, width=LOG_WIDTH)


def is_main_process() -> bool:
    """Whether this process is the one that speaks: rank 0, or the only one."""
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") in ("", "0") for name in names)


def rank() -> int:
    """This process's number, before it is connected with the others: 0 for the one that speaks."""
    names = () if is_main_process() else ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
    numbers = (int(os.environ.get(name) or 0) for name in names)
    return next(filter(None, numbers), 0)  # SLURM's only task is 0 to those that it has started, too


def note(text: str) -> None:
    """One line of information."""
    if is_main_process():
        out.print(text, soft_wrap=True, markup=False)


def warn(text: str) -> None:
    """One line that deserves attention."""
    if is_main_process():
        err.print(Text.assemble(("warning:", "yellow"), f" {text}"), soft_wrap=True)


def fail(error: UserError, from_any: bool = False) -> None:
    """What the user has to mend, one line per problem. ``from_any``: another process than the main one tells it too,
    with its number, unless it knows that the main one does."""
    if not is_main_process() and (error.shared or not from_any):
        return
    lines = error.lines()
    if rank():
        lines = [f"rank {rank()}: {line}" for line in lines]
    if len(lines) > 1:
        err.print(Text.assemble(ERROR, f" {len(lines)} problems"))
    for line in lines:
        mark = "  -" if len(lines) > 1 else ERROR
        err.print(Text.assemble(mark, f" {line}"), soft_wrap=True)


def exit_code(action: Callable[[], None]) -> int:
    """Carry out what a small command does: 0, or the exit code of a user error, which is shown."""
    try:
        action()
        return 0
    except UserError as error:
        fail(error)
        return error.exit_code


def banner(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """The box at the start of a run."""
    if not is_main_process():
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(str(name)), Text(str(value)))
    out.print(Panel(grid, title=Text(title, "bold"), title_align="left", expand=False))


def figures_table(figures: Mapping[str, float]) -> None:
    """Final figures: ``x_before`` and ``x_after`` on one line with their change, single figures below."""
    if not is_main_process() or not figures:
        return
    pairs = [name[: -len("_after")] for name in figures if name.endswith("_after")]
    if pairs:
        out.print(_pairs_table(figures, pairs))
    rest = {name: value for name, value in figures.items() if not name.endswith(("_before", "_after"))}
    if rest:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("figure", style="cyan")
        table.add_column("value", justify="right")
        for name, value in rest.items():
            table.add_row(Text(name), number(value))
        out.print(table)


def number(value: float | None, sign: bool = False) -> str:
    """Four significant digits; whole numbers without a point."""
    if value is None:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):+,d}" if sign else f"{int(value):,d}"
    return f"{value:+.4g}" if sign else f"{value:.4g}"


def _pairs_table(figures: Mapping[str, float], names: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("figure", style="cyan")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right")
    for name in names:
        before, after = figures.get(f"{name}_before"), figures[f"{name}_after"]
        change = "-" if before is None or after is None else number(after - before, sign=True)
        table.add_row(Text(name), number(before), number(after), change)
    return table
