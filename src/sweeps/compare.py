"""Runs side by side: `python -m src.sweeps.compare outputs/sweeps/<sweep> --reference crossentropy`.

Prints the table of methods as Markdown, and writes into the first folder: table.md, table.csv, comparison.png, runs.csv
(each run's figures) and, if a curve is asked for, curve.png and curve.csv (each run's points).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.core import console
from src.core.errors import UserError
from src.core.runfolder import SWEEP_FILE
from src.sweeps import comparison, fair, tables
from src.sweeps import record as records
from src.sweeps.at_cost import at_cost, parsed
from src.sweeps.comparison_figure import draw_comparison
from src.sweeps.curve import draw_curve, write_points
from src.sweeps.default_metric import usual_of
from src.sweeps.figure_choice import left_out, usual_names
from src.sweeps.runs import Run, only, read_runs
from src.sweeps.writing import written_to

DEFAULT_REFERENCE = "crossentropy"


@dataclass(frozen=True)
class Wish:
    """What of the runs below ``folders`` is compared, and where to; the fields are the command's options."""

    folders: Sequence[Path]
    reference: str | None = None
    by: Sequence[str] = ()
    figures: Sequence[str] = ()
    curve: str | None = None
    against: Sequence[str] = ("cost/reward_queries",)
    at: str | None = None
    out: Path | None = None

    @property
    def target(self) -> Path:
        return self.out or self.folders[0]


def compare_folders(wish: Wish) -> str:
    """Compare runs, write the files, return the Markdown."""
    for folder in wish.folders:
        if not folder.is_dir():
            raise UserError(str(folder), "this is not a folder", "name a sweep's folder under outputs/sweeps")
    runs, remarks = read_runs(wish.folders, wish.by)
    for line in [*remarks, *fair.remarks(runs, wish.by)]:
        console.warn(line)
    runs = at_cost(runs, wish.figures, *parsed(wish.at)) if wish.at else only(runs, wish.figures)
    reference = wish.reference
    if reference is None and any(run.method == DEFAULT_REFERENCE for run in runs):
        reference = DEFAULT_REFERENCE
    found = comparison.compare(runs, reference)
    text = tables.markdown(found)
    rows = [{"method": run.label, "seed": run.seed, "figures": run.figures} for run in runs]
    names = wish.figures or usual_names(rows, _judged_by(wish.folders, runs))
    with written_to(wish.target, "name another folder with --out"):
        (wish.target / "table.md").write_text(text, encoding="utf-8")
        tables.write_csv(found, wish.target / "table.csv")
        tables.write_runs(runs, found.names, wish.target / "runs.csv")
        draw_comparison(rows, wish.target / "comparison.png", order=found.labels, names=names)
        if wish.curve:
            draw_curve(runs, wish.curve, wish.against, wish.target / "curve.png")
            write_points(runs, wish.curve, wish.against, wish.target / "curve.csv")
    for line in left_out(rows, names, chosen=bool(wish.figures)):
        console.warn(line)
    return text


def _judged_by(folders: Sequence[Path], runs: Sequence[Run]) -> str | None:
    """The figure after training by which a sweep among the folders is ranked, or else these runs would be."""
    named = (records.load(folder).metric for folder in folders if (folder / SWEEP_FILE).is_file())
    metric = next(filter(None, named), None) or usual_of(run.folder for run in runs).metric
    return metric.removesuffix("_after") if metric else None


def _list(text: str) -> list[str]:
    """`a, b` as its parts."""
    return [part.strip() for part in text.split(",") if part.strip()]


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m src.sweeps.compare", description="Compare finished runs.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweep folders or run folders")
    parser.add_argument("--reference", metavar="METHOD", help="method, or values of keys given with --by (name=plain), "
                        f"that the others are paired with, seed by seed (default: {DEFAULT_REFERENCE} if it is there)")
    parser.add_argument("--by", action="append", default=[], metavar="KEY", help="tell runs apart by this key of "
                        "config.yaml too, as in data.name (may be given several times)")
    parser.add_argument("--figures", type=_list, default=[], metavar="A,B",
                        help="show only these, as in eval/all_right,diversity/latent")
    parser.add_argument("--curve", metavar="COLUMN", help="draw this column of metrics.csv, as in eval/all_right")
    parser.add_argument("--against", type=_list, metavar="A,B", default=list(Wish.against),
                        help="... against this one, or several (default: cost/reward_queries)")
    parser.add_argument("--at", metavar="COLUMN=VALUE", help="the figures where every run's own curve reaches this "
                        "cost, as in cost/unet_evaluations=15000, not those at its end")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: the first folder)")
    wish = Wish(**vars(parser.parse_args(argv)))

    def compare() -> None:
        console.note(compare_folders(wish))
        curve = ", curve.png, curve.csv" if wish.curve else ""
        console.note(f"Written to {wish.target}: table.md, table.csv, runs.csv, comparison.png{curve}")

    return console.exit_code(compare)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
