"""The protocol as plots: every figure against the reward queries spent, and alignment against diversity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from src.methods.b2diffurl.evaluation import SPLITS
from src.methods.b2diffurl.protocol.outcome import Outcome

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
    from matplotlib.figure import Figure

    lines = -(-len(names) // PER_ROW)
    width = min(PER_ROW, len(names))
    figure = Figure(figsize=(WIDTH * width, HEIGHT * lines + 0.6), dpi=110, layout="constrained")
    grid = figure.subplots(lines, width, squeeze=False, sharex=True)
    for axes, name in zip(grid.flat, names, strict=False):
        for place, (run, states) in enumerate(paths(outcomes).items()):
            for split, style in STYLES.items():
                points = [(state.queries, state.figures.get(split, {}).get(name, math.nan)) for state in states]
                if not all(math.isnan(value) for _, value in points):
                    label = f"{run}, {SPLITS[split]}".removeprefix(", ")
                    axes.plot(*zip(*points, strict=True), style, color=f"C{place}", markersize=3.5, linewidth=1.3,
                              label=label)
        axes.set_title(LABELS.get(name, name), fontsize=9)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=7.5)
    for axes in list(grid.flat)[len(names):]:
        axes.axis("off")
    for column in range(width):  # the lowest panel of each column
        lowest = grid[lines - 1 if (lines - 1) * PER_ROW + column < len(names) else lines - 2, column]
        lowest.set_xlabel("reward queries", fontsize=8)
        lowest.tick_params(labelbottom=True)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    figure.savefig(file)
    return file


def draw_tradeoff(outcomes: Sequence[Outcome], reward: str, diversity: str, file: Path) -> Path:
    """Where training moves alignment and diversity: a line from the untrained model to each run's last state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for place, (run, states) in enumerate(paths(outcomes).items()):
        for split, style in STYLES.items():
            shown = [state.figures[split] for state in states if split in state.figures]
            if shown:
                axes.plot([figures[diversity] for figures in shown], [figures[reward] for figures in shown], style,
                          color=f"C{place}", markersize=4, linewidth=1.2, label=f"{run}, {SPLITS[split]}".lstrip(", "))
                axes.annotate("base", (shown[0][diversity], shown[0][reward]), fontsize=7, xytext=(4, -9),
                              textcoords="offset points")
    axes.set_xlabel(LABELS.get(diversity, diversity))
    axes.set_ylabel(LABELS.get(reward, reward))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7.5)
    figure.savefig(file)
    return file
