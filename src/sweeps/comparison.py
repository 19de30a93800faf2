"""Methods side by side: mean and spread of every figure over seeds, and paired differences to a reference method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from src.core.errors import UserError, did_you_mean
from src.sweeps.paired import Difference, Spread, difference, spread
from src.sweeps.runs import Run

ORDER = ("top1_err", "top5_err", "nll", "brier", "ece", "ece15", "aurc", "eaurc")
GROUPS = ("test", "best", "val")  # shown first, then the others in alphabetic order


@dataclass(frozen=True)
class Comparison:
    """Figures of several methods: cells by (label, name of the figure); what no run has is not there."""

    labels: list[str]
    names: list[str]
    seeds: dict[str, list[int]]
    reference: str | None
    spreads: dict[tuple[str, str], Spread] = field(default_factory=dict)
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict)


def compare(runs: Sequence[Run], reference: str | None = None) -> Comparison:
    """Group runs by their label; ``reference`` is the method that the others are paired with over equal seeds.

    Where runs were told apart by further keys, each is paired with the reference of the same values; if there is none,
    and only one group of the reference's method, with that. Raises ``UserError`` for a reference without runs.
    """
    if reference is not None and reference not in {run.method for run in runs}:
        raise UserError(f"--reference {reference}", "no finished run has this method",
                        did_you_mean(reference, {run.method for run in runs}))
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    labels = sorted(groups, key=lambda label: (groups[label][0].method != reference, label))
    names = sorted({name for run in runs for name in run.figures}, key=_place)
    found = Comparison(labels, names, {label: sorted(run.seed for run in groups[label]) for label in labels}, reference)
    for label in labels:
        partner = _partner(groups[label][0], groups, reference)
        for name in names:
            _fill(found, label, name, groups[label], partner)
    return found


def _fill(found: Comparison, label: str, name: str, ours: Iterable[Run], partner: Iterable[Run]) -> None:
    values, others = _by_seed(ours, name), _by_seed(partner, name)
    if values:
        found.spreads[label, name] = spread(list(values.values()))
    if paired := difference(values, others):
        found.differences[label, name] = paired


def _by_seed(runs: Iterable[Run], name: str) -> dict[int, float]:
    return {run.seed: run.figures[name] for run in runs if name in run.figures}


def _partner(run: Run, groups: dict[str, list[Run]], reference: str | None) -> list[Run]:
    """The runs that this one's group is paired with; none for the reference itself."""
    if reference is None or run.method == reference:
        return []
    candidates = [runs for runs in groups.values() if runs[0].method == reference]
    same = [runs for runs in candidates if runs[0].keys == run.keys]
    return (same or (candidates if len(candidates) == 1 else [[]]))[0]


def _place(name: str) -> tuple[int, str, int, str]:
    group, _, leaf = name.rpartition("/")
    return (GROUPS.index(group) if group in GROUPS else len(GROUPS), group,
            ORDER.index(leaf) if leaf in ORDER else len(ORDER), leaf)
