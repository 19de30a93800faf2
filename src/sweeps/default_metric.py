"""Which figure runs are judged by if none was named, and the error for a figure that they do not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from src.core import results, runfolder
from src.core.errors import UserError, nearest
from src.sweeps.objective import columns_of, figures

SOME = 6  # figures that a message names


class Aim(NamedTuple):
    """The figure to sort by where none was named, and why it is this one."""

    metric: str | None
    why: str = ""


def usual(names: Iterable[str], rewards: Collection[str] = (), monitors: Collection[str] = ()) -> Aim:
    """The first of these that is among ``names``: the reward that all runs were trained on, the figure that their best
    checkpoint is chosen by, one after training, one of held-out pictures, and only then one of the test's."""
    names = list(names)
    trained = {f"eval/{reward}_after" for reward in rewards}
    ways = ((lambda name: {name} == trained, "the reward that was trained"),
            (lambda name: {name} == set(monitors), "it chooses the best checkpoint of a run"),
            (lambda name: name.endswith("_after"), "the first figure after training"),
            (lambda name: name.startswith("val/"), "the first figure of the held-out pictures"),
            (lambda name: name.startswith("test/"), "the first figure of the test: nothing else was measured"),
            (lambda name: not name.endswith("_before") and not name.startswith("cost/"), "the first figure"))
    return next((Aim(name, why) for fits, why in ways for name in names if fits(name)), Aim(None))


def usual_of(folders: Iterable[Path]) -> Aim:
    """``usual`` for some runs: figures of metrics.json and columns of metrics.csv, with what their config.yaml says."""
    names: dict[str, None] = {}
    columns: dict[str, None] = {}
    told: dict[str, set[str]] = {"reward.name": set(), "callbacks.checkpoint.monitor": set()}
    for folder in folders:
        names |= dict.fromkeys(figures(results.read(folder)))
        columns |= dict.fromkeys(name for name in columns_of(folder) if name.startswith("val/"))
        config = OmegaConf.create(runfolder.config(folder))
        for key, values in told.items():
            values |= {str(value) for value in [OmegaConf.select(config, key)] if value is not None}
    return usual([*names, *columns], *told.values())


def check_figure(folder: Path, metric: str) -> None:
    """Raise ``UserError`` if a finished run knows no such figure; one that is not finite has its name all the same."""
    known = [*results.read(folder), *columns_of(folder)]
    if metric not in known:
        raise unknown("optimized_metric=", metric, [name for name in known if "/" in name])


def names_of(folders: Iterable[Path]) -> list[str]:
    """All figures of these runs, of metrics.json and metrics.csv."""
    return list(dict.fromkeys(name for folder in folders
                              for name in [*figures(results.read(folder)), *columns_of(folder)]))


def unknown(option: str, metric: str, known: Sequence[str]) -> UserError:
    """What to say of a figure that no finished run has a number for, but only the ``known`` ones."""
    match = nearest(metric, [name for name in known if name != metric])
    more = f" and {len(known) - SOME} others" if len(known) > SOME else ""
    return UserError(f"{option}{metric}", "no finished run has a number for this figure", f"did you mean {match}?"
                     if match else f"they have {', '.join(known[:SOME]) or 'no figures'}{more}")
