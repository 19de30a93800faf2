"""What the options of image sets must satisfy. Pure Python: the static check and the constructors ask the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from src.core.config import ranges
from src.core.config.ranges import above, at_least
from src.core.errors import Problems, describe

SHARE = at_least(0, below=1)
RANGES = {
    **{key: at_least(0) for key in ("pad", "cutout", "workers")}, **{key: at_least(1) for key in ("size", "resize")},
    "val_share": SHARE, "test_share": SHARE, "jitter": SHARE, "min_scale": above(0, at_most=1),
    "fill": at_least(0, "0 is black, 255 is white", at_most=255),
}

STATISTICS = {"mean": at_least(0, at_most=1), "std": above(0, at_most=1)}


def option_problems(options: Mapping[str, Any]) -> list[str]:
    """Problems of those of an image set's options that are given, types being right; one message each."""
    problems = ranges.problems("data", options, RANGES)
    both = [options.get(key, 0) for key in ("val_share", "test_share")]
    if max(both) < 1 <= sum(both):
        problems.append(describe(f"data.val_share={both[0]} with data.test_share={both[1]}",
                                 "together they must be less than 1", "the rest is trained on"))
    for key in ("mean", "std"):
        value = options.get(key)
        if value is not None and (len(value) != 3 or not all(share in STATISTICS[key] for share in value)):
            problems.append(describe(f"data.{key}={list(value)}", "must be three shares, of red, green and blue, "
                                     f"{STATISTICS[key]}", "divide numbers of 0 to 255 by 255"))
    resize, size = options.get("resize"), options.get("size")
    if resize is not None and size is not None and resize < size:
        problems.append(describe(f"data.resize={resize}", f"must be data.size={size} or more"))
    return problems


def held(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """How many of the `count` samples of a class are held out to test and to validate with; one at least is trained.
    The test set does not depend on the share of the other."""
    test = min(round(shares.get("test", 0.0) * count), max(count - 1, 0))
    return {"val": min(round(shares.get("val", 0.0) * count), max(count - 1 - test, 0)), "test": test}


def batch_problem(batch_size: int, processes: int, samples: int) -> list[str]:
    """A batch over all processes that is larger than the training set."""
    if samples >= batch_size:
        return []
    fits = samples - samples % processes
    return [describe(f"method.batch_size={batch_size}: there are only {samples} pictures to train on",
                     "an epoch needs one full batch",
                     f"set it to {fits} or less" if fits > processes else "add pictures")]


def share_problem(batch_size: int, processes: int) -> list[str]:
    """A batch over all processes that does not give each of them as many pictures, and two at least."""
    below, least = batch_size - batch_size % processes, 2 * processes
    if processes == 1 or (batch_size == below and batch_size >= least):
        return []
    nearest = dict.fromkeys(max(size, least) for size in (below, below + processes))
    return [describe(f"method.batch_size={batch_size} on {processes} devices", "it is the total of all devices, which "
                     "share it equally, two pictures or more each", f"set it to {' or '.join(map(str, nearest))}")]


def insist(problems: Sequence[str]) -> None:
    """Raises all of them at once, if there are any."""
    if problems:
        raise Problems(problems)
