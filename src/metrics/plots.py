"""Pictures of one split's predictions: calibration, errors against coverage, hardest samples, curves of training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from src.core import style
from src.metrics import functions
from src.metrics.curves import curves
from src.metrics.hardest import hardest, hardest_rows
from src.metrics.scores import Samples, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curves", "hardest", "hardest_rows", "reliability", "risk_coverage"]
POINTS = 2000  # of a curve; more are not seen


def reliability(scores: Scores | Samples, file: Path, title: str = "", bins: int = 10) -> Path:
    """Reliability diagram: accuracy in each bin of confidence, its gap to the mean confidence, below it the histogram.

    ``scores`` after ``compute``, or the ``samples`` of one.
    """
    bars = functions.reliability_bins(scores.confidence, scores.correct, bins)
    error = functions.ece(scores.confidence, scores.correct, bins).item()
    with style.page(file, 4.3, 5.2, rows=2, sharex=True, height_ratios=[3.2, 1]) as (_, grid):
        upper, lower = grid[:, 0]
        _bars(upper, bars)
        upper.set_title("\n".join([*style.wrapped(title, 46), f"ECE {error:.2f} % ({bins} bins)"]))
        lower.bar(_centres(bins), bars.count / bars.count.sum(), 0.94 / bins, color=style.PALE)
        mean, accuracy = scores.confidence.double().mean().item(), scores.correct.double().mean().item()
        lower.axvline(mean, color=style.ORANGE, linewidth=1.2, label=f"mean confidence {mean:.1%}")
        lower.axvline(accuracy, color=style.BLUE, linewidth=1.2, linestyle="--", label=f"accuracy {accuracy:.1%}")
        lower.set(xlabel="confidence", ylabel="samples", xlim=(0, 1))
        lower.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.97), ncols=2, fontsize=7)
        style.percent(lower)
    return file


def risk_coverage(scores: Mapping[str, Scores | Samples], file: Path, title: str = "Risk against coverage") -> Path:
    """Share of errors among the most confident samples, one line for each label; dotted: the best possible ranking."""
    with style.page(file, 5.4, 4.2) as (_, grid):
        axes, highest = grid[0, 0], 0.0
        for place, (label, one) in enumerate(scores.items()):
            highest = max(highest, _risk_line(axes, one, label, style.colour(place)))
        axes.plot([], [], ":", color=style.INK, linewidth=1.1, label="optimum for this number of errors")
        axes.set(title=title, xlabel="coverage (most confident samples first)", ylabel="risk (share of errors)",
                 xlim=(0, 1), ylim=(0, min(1.02, 1.15 * highest) or 1))
        axes.legend(loc="upper left")
        style.percent(axes)
    return file


def _centres(bins: int) -> Tensor:
    return (torch.arange(bins) + 0.5) / bins


def _bars(axes: Axes, bars: functions.Bins) -> None:
    """Accuracy as bars; the gap to the confidence stands on them, hatched, or lies within where that is too low."""
    filled = bars.count > 0
    centres, accuracy = _centres(len(filled))[filled], bars.accuracy[filled]
    gap, width = bars.confidence[filled] - accuracy, 0.94 / len(filled)
    axes.bar(centres, accuracy, width, color=style.BLUE, label="accuracy")
    sides = (("confidence too high by", gap > 0, style.ORANGE, style.PALE_ORANGE),
             ("confidence too low by", gap < 0, style.PALE_BLUE, style.BLUE))
    for label, chosen, lines, area in sides:
        if chosen.any():
            axes.bar(centres[chosen], gap[chosen], width, bottom=accuracy[chosen], color=area,
                     edgecolor=lines, hatch="////", linewidth=0.8, label=label)
    axes.plot([0, 1], [0, 1], "--", color=style.INK, linewidth=1, label="perfectly calibrated")
    axes.set(ylabel="accuracy", ylim=(0, 1))
    axes.legend(loc="upper left" if (gap * bars.count[filled]).sum() >= 0 else "lower right")
    style.percent(axes)


def _risk_line(axes: Axes, scores: Scores | Samples, label: str, colour: str) -> float:
    """Draw a curve and its optimum; returns the highest risk beyond the first percent, which is noise."""
    coverage, risk = functions.risk_coverage(scores.confidence, scores.correct)
    n, errors = len(risk), int((~scores.correct).sum())
    area, best = 1000 * risk.mean().item(), functions.optimal_aurc(n, errors)
    place = torch.linspace(0, n - 1, min(n, POINTS)).long()
    optimum = (place + 1 - (n - errors)).clamp(min=0) / (place + 1)
    text = f"AURC {area:.1f}, excess {area - best:.1f}"
    axes.plot(coverage[place], risk[place], color=colour, label=f"{label}: {text}" if label else text)
    axes.plot(coverage[place], optimum, ":", color=colour, linewidth=1.1)
    return risk[n // 100:].max().item()
