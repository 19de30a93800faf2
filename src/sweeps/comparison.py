"""Methods side by side: mean and spread of every figure over seeds, and paired differences to a reference method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from src.core.errors import UserError, did_you_mean
from src.sweeps.figure_choice import CLASSIFIED, EVALUATED, PANELS
from src.sweeps.paired import Difference, Spread, difference, spread
from src.sweeps.runs import UNTRAINED, Run

ORDER = tuple(PANELS)
GROUPS = (*CLASSIFIED, *EVALUATED, "cost")  # shown first, the others alphabetically


@dataclass(frozen=True)
class Comparison:
    """Figures of several methods: cells by (label, name of the figure); what no run has is not there."""

    labels: list[str]
    names: list[str]
    reference: str | None
    spreads: dict[tuple[str, str], Spread] = field(default_factory=dict)
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict)


def compare(runs: Sequence[Run], reference: str | None = None) -> Comparison:
    """Group runs by their label, and pair each group over equal seeds with its reference.

    ``reference``: a method (``crossentropy``), values of keys that runs were told apart by (``name=plain``), or both
    with a comma between. A group's partner is the reference that agrees with it in all that is not named there; if
    none does, the reference's only group. Raises ``UserError`` for a reference without runs.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    wanted = _facts_named(reference) if reference is not None else {}
    references = {label for label, some in groups.items() if wanted and wanted.items() <= _facts(some[0]).items()}
    if wanted and not references:
        known = {item for run in runs for item in (run.method, *(f"{key}={value}" for key, value in run.keys))}
        raise UserError(f"--reference {reference}", "no finished run is that", did_you_mean(str(reference), known))
    labels = sorted(groups, key=lambda label: _order(groups[label][0], label in references, "method" in wanted))
    names = sorted({name for run in runs for name in run.figures}, key=_place)
    found = Comparison(labels, names, reference)
    for label in labels:
        partner = [] if label in references else _partner(groups[label][0], wanted, [groups[one] for one in references])
        for name in names:
            _fill(found, label, name, groups[label], partner)
    return found


def _order(run: Run, is_reference: bool, is_method: bool) -> tuple[bool, str, bool, str]:
    """The untrained first; a reference before the others: of all, or of its method if it leaves that open."""
    return run.method != UNTRAINED, "" if is_method else run.method, not is_reference, run.label


def _facts(run: Run) -> dict[str, str]:
    return {"method": run.method, **dict(run.keys)}


def _facts_named(reference: str) -> dict[str, str]:
    """`ddpo,name=plain` as {method: ddpo, name: plain}."""
    parts = [part.strip().partition("=") for part in reference.split(",")]
    return {key if sign else "method": value if sign else key for key, sign, value in parts}


def _partner(run: Run, wanted: dict[str, str], references: list[list[Run]]) -> list[Run]:
    """The reference's runs that agree with this one in all that the reference leaves open."""
    rest = [(key, value) for key, value in _facts(run).items() if key not in wanted]
    same = [some for some in references if set(rest) <= _facts(some[0]).items()]
    return (same or (references if len(references) == 1 else [[]]))[0]


def _fill(found: Comparison, label: str, name: str, ours: Iterable[Run], partner: Iterable[Run]) -> None:
    values, others = _by_seed(ours, name), _by_seed(partner, name)
    if values:
        found.spreads[label, name] = spread(list(values.values()))
    if paired := difference(values, others):
        found.differences[label, name] = paired


def _by_seed(runs: Iterable[Run], name: str) -> dict[int, float]:
    return {run.seed: run.figures[name] for run in runs if name in run.figures}


def _place(name: str) -> tuple[int, str, int, str]:
    group, _, leaf = name.rpartition("/")
    return (GROUPS.index(group) if group in GROUPS else len(GROUPS), group,
            ORDER.index(leaf) if leaf in ORDER else len(ORDER), leaf)
