"""The finished runs below some folders, with what tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.core import results, runfolder
from src.core.config.unknown import leaves
from src.core.errors import UserError
from src.sweeps.default_metric import unknown
from src.sweeps.objective import figures

UNLIKE_BY_NATURE = ("seed", "run_dir", "output_dir", "resume")
UNTRAINED = "before training"  # stands where a method's name does


@dataclass(frozen=True)
class Run:
    """One finished run: its label (method, and the values of the keys that were asked for), seed and figures."""

    folder: Path
    method: str
    keys: tuple[tuple[str, str], ...]  # (config key, value) of the keys that were asked for; without those it lacks
    seed: int
    figures: dict[str, float]

    @property
    def label(self) -> str:
        return ", ".join([self.method, *(f"{key}={value}" for key, value in self.keys)])

    def with_only(self, names: Iterable[str]) -> Run:
        """The same run with no other figures than these."""
        return replace(self, figures={name: self.figures[name] for name in names if name in self.figures})


def read_runs(folders: Iterable[Path], by: Sequence[str] = ()) -> tuple[list[Run], list[str]]:
    """Runs in and below ``folders``, and remarks: which were left out and why, which differ in more than the seed.

    ``by``: keys of config.yaml (``data.name``) by which runs of one method are told apart. Raises ``UserError`` if no
    run has finished, none has a key of ``by``, or two different runs of one method and seed cannot be told apart.
    """
    folders, runs, remarks = list(folders), [], []
    for folder in sorted({file.parent.resolve() for root in folders for file in root.rglob("metrics.json")}):
        content = results.read(folder)
        if reason := _unusable(content):
            remarks.append(f"{folder.name}: {reason}, left out")
        else:
            runs.append(Run(folder, str(content["method"]), _keys(folder, by), int(content["seed"]), _figures(content)))
    if not runs:
        raise UserError(" ".join(map(str, folders)), f"no finished run is here ({len(remarks)} others)",
                        "name the folder of a sweep, or of a run that has ended")
    for key in by:
        if not any(key == name for run in runs for name, _ in run.keys):
            raise UserError(f"--by {key}", "no run's config.yaml has this key", "take one out of a run's config.yaml")
    runs = _single(runs, remarks)
    untrained = _untrained(runs, remarks)
    return untrained + [replace(run, figures=_after(run.figures)) for run in runs], remarks + _mixed(runs)


def only(runs: Sequence[Run], figures: Sequence[str]) -> list[Run]:
    """The runs with no other figures than these (all for none). Raises ``UserError`` for one that no run has."""
    known = list(dict.fromkeys(name for run in runs for name in run.figures))
    for name in figures:
        if name not in known:
            raise unknown("--figures ", name, known)
    return [run.with_only(figures) for run in runs] if figures else list(runs)


def _unusable(content: dict[str, Any]) -> str:
    if not content.get("method") or not isinstance(content.get("seed"), int):
        return "its metrics.json says no method and seed"
    if content.get("status") != "finished":
        return str(content.get("status") or "of unknown status")
    return "" if content.get("mode", "train") == "train" else f"mode={content['mode']}"


def _figures(content: dict[str, Any]) -> dict[str, float]:
    """Numbers named group/name, and the seconds; what was not finite is null in the file."""
    seconds = content.get("seconds")
    return figures(content) | ({"seconds": float(seconds)} if isinstance(seconds, int | float) else {})


def _after(figures: dict[str, float]) -> dict[str, float]:
    """Of figures taken before and after training those after it, under their own name; others as they are."""
    return {name.removesuffix("_after"): value for name, value in figures.items() if not name.endswith("_before")}


def _untrained(runs: Sequence[Run], remarks: list[str]) -> list[Run]:
    """One run a seed with the figures before training, if all runs of the seed agree on them: one base model, one
    evaluation."""
    found: dict[int, Run] = {}
    for run in runs:
        figures = {name.removesuffix("_before"): value for name, value in run.figures.items()
                   if name.endswith("_before")}
        if found.setdefault(run.seed, replace(run, method=UNTRAINED, keys=(), figures=figures)).figures != figures:
            remarks.append(f"{UNTRAINED}, the figures of the runs with seed {run.seed} differ (another model or "
                           "another evaluation), left out")
            return []
    return [run for run in found.values() if run.figures]


def _keys(folder: Path, by: Sequence[str]) -> tuple[tuple[str, str], ...]:
    config = leaves(runfolder.config(folder)) if by else {}
    return tuple((key, str(config[key])) for key in by if key in config)


def _single(runs: Iterable[Run], remarks: list[str]) -> list[Run]:
    """One run for each label and seed: of mere repetitions the newest; runs that differ are an error."""
    kept: dict[tuple[str, int], Run] = {}
    for run in sorted(runs, key=lambda run: (run.folder / "metrics.json").stat().st_mtime):
        earlier = kept.get((run.label, run.seed))
        if earlier is not None:
            if keys := _unlike(earlier, run):
                raise UserError(f"{earlier.folder.name} and {run.folder.name}",
                                f"both are {run.label} with seed {run.seed}, but differ in {', '.join(keys[:4])}",
                                f"tell them apart with --by {keys[0]}")
            remarks.append(f"{earlier.folder.name}: repeated by {run.folder.name}, left out")
        kept[run.label, run.seed] = run
    return sorted(kept.values(), key=lambda run: str(run.folder))


def _mixed(runs: Iterable[Run]) -> list[str]:
    """A remark for each label whose runs differ in more than the seed."""
    first: dict[str, Run] = {}
    found: dict[str, str] = {}
    for run in runs:
        if keys := _unlike(first.setdefault(run.label, run), run):
            found.setdefault(run.label, f"{run.label}: its runs differ in {', '.join(keys[:4])}; "
                                        f"--by {keys[0]} tells them apart")
    return list(found.values())


def _unlike(one: Run, other: Run) -> list[str]:
    first, second = (leaves(runfolder.config(run.folder)) for run in (one, other))
    return sorted(key for key in first.keys() | second.keys()
                  if first.get(key) != second.get(key) and key not in UNLIKE_BY_NATURE)
