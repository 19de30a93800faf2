"""The whole suite with one command: `python -m src.bench [--only start,unet] [--out folder] [overrides of B2's cases]`.

Every figure is a ratio of two ways to do the same work, measured in turn in one process, so that a busy machine moves
both; quartiles say how much is left. Results: results.{csv,json,md} and ratios.png in the folder, beside those of
other groups that were measured on the same machine before.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from src.bench import classifier_cases, diffusion_cases, report, start_cases, unet_cases
from src.bench.timing import Result
from src.bench.unet_cases import Speed
from src.core import quiet
from src.core.console import note

GROUPS = {"b2diffurl": diffusion_cases.cases, "unet": lambda overrides: unet_cases.cases(),
          "pskd": lambda overrides: classifier_cases.cases([]), "start": lambda overrides: start_cases.cases([])}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m src.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(GROUPS), help=f"of {', '.join(GROUPS)}; comma-separated")
    parser.add_argument("--out", type=Path, default=Path("experiments/bench"), help="folder of the results")
    options, overrides = parser.parse_known_args()
    unknown = [name for name in options.only.split(",") if name not in GROUPS]
    if unknown:
        parser.error(f"--only={','.join(unknown)}: there is no such group. Known: {', '.join(GROUPS)}")
    quiet.after_import()
    found: dict[str, Result | Speed] = report.earlier(options.out)
    for group in options.only.split(","):
        for item in GROUPS[group](overrides):
            found[item.name] = item
            note(report.line(item))
            report.write(list(found.values()), options.out)  # at once: the suite is long, and may be stopped
    note(f"wrote {options.out}: results.json, results.csv, results.md, ratios.png")


if __name__ == "__main__":
    main()
