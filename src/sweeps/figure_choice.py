"""Which of many figures comparison.png shows where none were named, and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PANELS = {"top1_err": "Top-1 error (%)", "top5_err": "Top-5 error (%)", "nll": "NLL (nats)", "brier": "Brier score",
          "ece": "ECE, 10 bins (%)", "ece15": "ECE, 15 bins (%)", "aurc": "AURC (x 1000)", "eaurc": "E-AURC (x 1000)"}
CLASSIFIED, EVALUATED = ("test", "best", "val"), ("eval", "heldout", "diversity")  # groups of figures
MOST, NAMED = 12, 8  # panels of one picture, figures that a remark names


def usual_names(runs: Sequence[Mapping[str, Any]], first: str | None = None) -> list[str]:
    """The figures of classifiers or those of evaluations, whichever more methods have, at most ``MOST``.

    ``first``: the one that runs are judged by, which comes first among evaluations and is never left out.
    """
    known = list(dict.fromkeys(name for run in runs for name in run["figures"]))
    groups = ([f"{group}/{leaf}" for leaf in PANELS if f"{group}/{leaf}" in known] for group in CLASSIFIED)
    kinds = [next((names for names in groups if names), []), _evaluated(known, first)]
    names = max(kinds, key=lambda names: len(methods_with(runs, names)))
    apart = first in names or first is None or not {*methods_with(runs, [first])} & {*methods_with(runs, names)}
    return names if apart else [first, *names][:MOST]


def methods_with(runs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """The methods that have any of these figures."""
    return list(dict.fromkeys(run["method"] for run in runs if any(name in run["figures"] for name in names)))


def left_out(runs: Sequence[Mapping[str, Any]], names: Sequence[str], chosen: bool) -> list[str]:
    """What the picture of ``names`` does not show, a line each; ``chosen``: the user has named them."""
    known = list(dict.fromkeys(name for run in runs for name in run["figures"]))
    others, shown = [name for name in known if name not in names], methods_with(runs, names)
    lines = [f"{method} has none of the figures of comparison.png and is left out there: {', '.join(names[:NAMED])}"
             for method in dict.fromkeys(run["method"] for run in runs) if method not in shown]
    if others and not chosen:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        lines.append(f"comparison.png shows {len(names)} of {len(known)} figures, --figures A,B chooses others: not "
                     f"{', '.join(others[:NAMED])}{more}")
    return lines


def _evaluated(known: Sequence[str], first: str | None) -> list[str]:
    """One figure of each kind, on training and held-out prompts side by side; their parts (verifier_colour of verifier)
    only if there is room for all."""
    names = [name for name in known if name.startswith(tuple(f"{group}/" for group in EVALUATED))]
    whole = [name for name in names if not any(name.startswith(f"{other}_") for other in names)]
    leaves = dict.fromkeys(name.partition("/")[2] for name in [*([first] if first in whole else []), *whole])
    ordered = [name for leaf in leaves for group in EVALUATED if (name := f"{group}/{leaf}") in whole]
    parts = [name for name in names if name not in ordered]
    return [*ordered, *parts] if len(names) <= MOST else ordered[:MOST]
