"""Runs side by side: `python -m src.sweeps.compare outputs/sweeps/<sweep> --reference crossentropy`.

Prints the table of methods as Markdown, and writes table.md, table.csv and comparison.png into the first folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.core import console
from src.core.errors import UserError
from src.sweeps import comparison, tables
from src.sweeps.comparison_figure import draw_comparison
from src.sweeps.runs import read_runs

DEFAULT_REFERENCE = "crossentropy"


def compare_folders(folders: Sequence[Path], reference: str | None, by: Sequence[str], target: Path) -> str:
    """Compare the runs below ``folders``, write the three files into ``target``, return the Markdown."""
    for folder in folders:
        if not folder.is_dir():
            raise UserError(str(folder), "this is not a folder", "name a sweep's folder under outputs/sweeps")
    runs, remarks = read_runs(folders, by)
    for line in remarks:
        console.warn(line)
    if reference is None and any(run.method == DEFAULT_REFERENCE for run in runs):
        reference = DEFAULT_REFERENCE
    found = comparison.compare(runs, reference)
    text = tables.markdown(found)
    target.mkdir(parents=True, exist_ok=True)
    (target / "table.md").write_text(text, encoding="utf-8")
    tables.write_csv(found, target / "table.csv")
    rows = [{"method": run.label, "seed": run.seed, "figures": run.figures} for run in runs]
    draw_comparison(rows, target / "comparison.png", order=found.labels)
    return text


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m src.sweeps.compare", description="Compare finished runs.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweep folders or run folders")
    parser.add_argument("--reference", metavar="METHOD", help="method that the others are paired with, seed by seed "
                        f"(default: {DEFAULT_REFERENCE} if it is among them)")
    parser.add_argument("--by", action="append", default=[], metavar="KEY", help="tell runs apart by this key of "
                        "config.yaml too, as in data.name (may be given several times)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: the first folder)")
    arguments = parser.parse_args(argv)
    target = arguments.out or arguments.folders[0]

    def compare() -> None:
        console.note(compare_folders(arguments.folders, arguments.reference, arguments.by, target))
        console.note(f"Written to {target}: table.md, table.csv, comparison.png")

    return console.told(compare)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
