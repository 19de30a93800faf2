"""Tables and pictures of a sweep, finished or not: `python -m src.sweeps.report outputs/sweeps/<sweep>`.

Prints the settings from best to worst; writes results.csv and plots/ into the folder. Any folder with runs will do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.core import console
from src.core.runfolder import short
from src.sweeps import plots, ranking, rows
from src.sweeps.objective import DIRECTIONS
from src.sweeps.writing import written_to


def write(folder: Path, metric: str | None = None, direction: str | None = None) -> None:
    """Write the files into ``folder`` and show the table. Raises ``UserError`` if there is nothing to report."""
    found = rows.read(folder, metric, direction)
    with written_to(folder, "copy it to a place of your own"):
        files = [rows.write_csv(found, folder / rows.FILE), *plots.draw(found, folder)]
    ranked = ranking.rank(found)
    console.note("")
    console.out.print(ranking.table(found, ranked))
    console.note(ranking.remark(found, ranked))
    console.note(f"Written: {', '.join(str(short(path)) for path in files)}")
    if found.fault:
        console.warn(str(found.fault))


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m src.sweeps.report", description="Table and plots of a sweep.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a sweep's folder, or any with runs in it")
    parser.add_argument("--metric", metavar="NAME", help="figure of metrics.json, or column of metrics.csv, to sort by")
    parser.add_argument("--direction", choices=DIRECTIONS, help="which way is better (default: by the figure's name)")
    arguments = parser.parse_args(argv)
    return console.exit_code(lambda: write(arguments.folder, arguments.metric, arguments.direction))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
