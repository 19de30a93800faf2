"""Rules that tell from a run's figures that it goes wrong. Plain numbers in, findings out: nothing here keeps state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, float]
DIVERSITY = "diversity/latent"

# kind -> what to do about it
ADVICE = {
    "ratio": "set method.replay=always; if it stays, rollout and update do not run the same policy",
    "zero_variance": "use more branches, a longer interval or a finer reward: ties teach nothing",
    "positives_only": "bring method.negative_threshold nearer to 0, or use method.selection=best_worst",
    "kl": "lower method.lr, or use fewer updates a stage; objective.kl_weight holds the policy near the pretrained one",
    "second_scorer": "the policy may be gaming the reward: look at the pictures, stop earlier, add objective.kl_weight "
                     "or take reward=mix",
    "diversity": "pictures of one prompt become alike: look at them, stop earlier or add objective.kl_weight",
    "not_finite": "lower method.lr, set method.grad_clip=1 or model.dtype=float32",
}


@dataclass(frozen=True)
class Limits:
    """Where an alarm rises; conf/method/b2diffurl.yaml says what each means."""

    ratio: float = 1e-4
    zero_variance: float = 0.5
    negatives: float = 0.05
    stages: int = 3
    kl: float = 1e-3
    kl_reference: float = 0.1
    scorer_drop: float = 0.05
    diversity_drop: float = 0.2
    evaluations: int = 2


def findings(stages: Sequence[Figures], evaluations: Sequence[Figures], limits: Limits, *, reward: str,
             scorers: Sequence[str], branches: int) -> dict[str, str]:
    """What is wrong now: kind of alarm -> figure and limit, in words. Empty if nothing is.

    Args:
        stages: figures of the stages so far, the newest last; `limits.stages` of them are enough.
        evaluations: figures of all evaluations so far, the one before training first.
        reward, scorers: names of the optimised reward and of the other scorers, as in `eval/<name>`.
        branches: K; the only branch of a trunk never ties with a sibling.
    """
    newest = {**evaluations[-1], **stages[-1]} if evaluations else stages[-1]
    recent = stages[-limits.stages:] if len(stages) >= limits.stages else []
    found = {
        "ratio": _over(newest, "policy/first_ratio_dev", limits.ratio),
        "kl": _over(newest, "policy/approx_kl", limits.kl) or _over(newest, "policy/kl_reference", limits.kl_reference),
        "zero_variance": zero_variance(recent, limits.zero_variance) if branches > 1 else None,
        "positives_only": positives_only(recent, limits.negatives),
        "second_scorer": next(filter(None, (
            hacking(evaluations, f"eval/{reward}", f"eval/{other}", limits.scorer_drop, limits.evaluations)
            for other in scorers if other != reward)), None),
        "diversity": hacking(evaluations, f"eval/{reward}", DIVERSITY, limits.diversity_drop, limits.evaluations),
        "not_finite": not_finite(newest),
    }
    return {kind: text for kind, text in found.items() if text}


def _over(figures: Figures, name: str, limit: float) -> str | None:
    value = figures.get(name, 0.0)
    return f"{name} is {value:.3g}, the limit is {limit:g}" if value > limit else None


def zero_variance(stages: Sequence[Figures], limit: float) -> str | None:
    """Branches of more than `limit` of the trunks had the same reward, in every one of `stages`."""
    shares = [stage.get("select/frac_zero_std", 0.0) for stage in stages]
    if not shares or min(shares) <= limit:
        return None
    return f"select/frac_zero_std is {shares[-1]:.3g} and was over the limit of {limit:g} for {len(shares)} stages"


def positives_only(stages: Sequence[Figures], limit: float) -> str | None:
    """Of the trunks that gave anything, less than `limit` gave a bad example, in every one of `stages`."""
    shares = [_negative_share(stage) for stage in stages]
    if not shares or any(share is None or share >= limit for share in shares):
        return None
    return (f"{shares[-1]:.3g} of the trunks that were kept gave a negative sample, the limit is {limit:g}, "
            f"for {len(shares)} stages")


def _negative_share(stage: Figures) -> float | None:
    up, down, both = (stage.get(f"select/{name}", 0.0) for name in ("positive_only", "negative_only", "both"))
    given = up + down + both
    return (down + both) / given if given > 0 else None


def hacking(evaluations: Sequence[Figures], reward: str, other: str, drop: float, patience: int) -> str | None:
    """The last `patience` evaluations have more `reward` than an earlier one, and less of `other` by over `drop`.

    `drop` is a share of the largest |other| so far, so it serves scores of any scale and sign, but for scores whose
    mean stays about 0 it is strict. Evaluations that lack one of the two are passed over.
    """
    points = [(figures[reward], figures[other]) for figures in evaluations if reward in figures and other in figures]
    earlier, recent = points[:-patience], points[-patience:]
    scale = max((abs(value) for _, value in points), default=0.0)
    falls = [start for gain, start in earlier
             if all(now > gain and start - value > drop * scale for now, value in recent)]
    if not falls:
        return None
    return (f"{other} fell from {max(falls):.4g} to {recent[-1][1]:.4g} while {reward} rose, "
            f"the limit is a fall by {100 * drop:g} %")


def not_finite(figures: Figures) -> str | None:
    """A figure is NaN or infinite."""
    bad = [name for name, value in figures.items() if not math.isfinite(value)]
    return f"{bad[0]} is {figures[bad[0]]}, and has to be finite" if bad else None
