"""What the protocol leaves in its folder: table, plots, picture grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.methods.b2diffurl.protocol import table
from src.methods.b2diffurl.protocol.curves import draw_curves, draw_tradeoff, paths
from src.methods.b2diffurl.protocol.grid import draw_grid
from src.methods.b2diffurl.protocol.outcome import Outcome

DIVERSITY = ("lpips", "clip_distance", "latent_distance")  # the first that was measured stands in the trade-off


def report(outcomes: Sequence[Outcome], settings: Mapping[str, Any], reward: str, folder: Path) -> dict[str, float]:
    """Writes and shows everything; returns figures before and after of a single run, for metrics.json."""
    if not outcomes:
        return {}
    shown = table.ordered(outcomes, reward)
    table.write(shown, settings, folder)
    plots, samples = folder / "plots", folder / "samples"
    names = table.columns(shown)
    details = [name for figures in shown[0].figures.values() for name in figures if "/" in name]
    draw_curves(shown, names, plots / "protocol.png")
    if details:
        draw_curves(shown, list(dict.fromkeys(details)), plots / "details.png")
    diversity = next(name for name in DIVERSITY if name in names)
    draw_tradeoff(shown, reward, diversity, plots / "tradeoff.png")
    runs = paths(shown)
    for run, states in runs.items():
        name = "protocol" if len(runs) == 1 else f"protocol_{run.replace(' ', '_')}"
        draw_grid({state.label: state.gallery for state in states}, samples / f"{name}.png")
    if len(runs) > 1:
        draw_grid(_side_by_side(runs), samples / "comparison.png")
    table.show(shown, reward)
    return _before_after(next(iter(runs.values()))) if len(runs) == 1 else {}


def _side_by_side(runs: Mapping[str, Sequence[Outcome]]) -> dict:
    first = next(iter(runs.values()))[0]
    start = {} if first.run else {first.label: first.gallery}
    return start | {f"{run}\n{states[-1].label}": states[-1].gallery for run, states in runs.items()}


def _before_after(states: Sequence[Outcome]) -> dict[str, float]:
    ends = {"before": states[0], "after": states[-1]} if len(states) > 1 else {"before": states[0]}
    return {f"{split}/{name}_{end}": value for end, outcome in ends.items()
            for split, figures in outcome.figures.items() for name, value in figures.items()}
