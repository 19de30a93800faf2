"""The protocol as plots: every figure against the reward queries spent, and alignment against diversity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.core import style
from src.methods.b2diffurl.evaluation import SPLITS
from src.methods.b2diffurl.protocol.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = {"eval": "-o", "heldout": "--s"}
LABELS = {
    "clip": "CLIP: cosine of picture and prompt", "verifier": "verifier: mean probability",
    "all_right": "verifier: all attributes right", "latent_distance": "distance of latents",
    "latent_vendi": "Vendi score of latents", "clip_distance": "CLIP: 1 - cosine of pictures",
    "clip_vendi": "Vendi score in CLIP's space", "verifier_is": "Inception Score by the verifier",
    "verifier_distance": "perceptual distance by the verifier", "lpips": "LPIPS (AlexNet)",
    "inception_score": "Inception Score", "kl_base": "KL to the base model, nats/dimension",
}
PER_ROW, WIDTH, HEIGHT = 4, 3.3, 2.6  # panels, inches


def paths(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Run -> its states by stage, each beginning with the untrained model."""
    start = [outcome for outcome in outcomes if not outcome.run]
    runs = list(dict.fromkeys(outcome.run for outcome in outcomes if outcome.run)) or [""]
    return {run: [*start, *sorted((outcome for outcome in outcomes if outcome.run == run != ""),
                                  key=lambda outcome: outcome.stage)] for run in runs}


def draw_curves(outcomes: Sequence[Outcome], names: Sequence[str], file: Path) -> Path:
    """One panel for each figure; colour: run, line: list of prompts."""
    lines = -(-len(names) // PER_ROW)
    width = min(PER_ROW, len(names))
    with style.page(file, WIDTH * width, HEIGHT * lines + 0.6, lines, width, sharex=True) as (figure, grid):
        for axes, name in zip(grid.flat, names, strict=False):
            _panel(axes, paths(outcomes), name)
        for axes in list(grid.flat)[len(names):]:
            axes.axis("off")
        for column in range(width):  # the lowest panel of each column
            lowest = grid[lines - 1 if (lines - 1) * PER_ROW + column < len(names) else lines - 2, column]
            lowest.set_xlabel("reward queries", fontsize=8)
            lowest.tick_params(labelbottom=True)
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    return file


def draw_tradeoff(outcomes: Sequence[Outcome], reward: str, diversity: str, file: Path) -> Path:
    """Where training moves alignment and diversity: a line from the untrained model to each run's last state."""
    with style.page(file, 5.2, 4.2) as (_, grid):
        axes = grid[0, 0]
        for place, (run, states) in enumerate(paths(outcomes).items()):
            for split, look in STYLES.items():
                points = [(state.figures[split][diversity], state.figures[split][reward]) for state in states
                          if split in state.figures]
                if points:
                    axes.plot(*zip(*points, strict=True), look, color=style.colour(place), markersize=4, linewidth=1.2,
                              label=_label(run, split))
                    axes.annotate("base", points[0], fontsize=7, xytext=(4, -9), textcoords="offset points")
        axes.set_xlabel(LABELS.get(diversity, diversity))
        axes.set_ylabel(LABELS.get(reward, reward))
        axes.legend(fontsize=7.5)
    return file


def _panel(axes: Axes, runs: Mapping[str, Sequence[Outcome]], name: str) -> None:
    for place, (run, states) in enumerate(runs.items()):
        for split, look in STYLES.items():
            points = [(state.queries, state.figures.get(split, {}).get(name, math.nan)) for state in states]
            if not all(math.isnan(value) for _, value in points):
                axes.plot(*zip(*points, strict=True), look, color=style.colour(place), markersize=3.5, linewidth=1.3,
                          label=_label(run, split))
    axes.set_title(LABELS.get(name, name), fontsize=9)
    axes.tick_params(labelsize=7.5)


def _label(run: str, split: str) -> str:
    return f"{run}, {SPLITS[split]}" if run else SPLITS[split]
