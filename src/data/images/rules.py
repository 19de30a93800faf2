"""What the options of image sets must satisfy. Pure Python: the static check and the constructors ask the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from src.core.errors import Problems, describe


def option_problems(options: Mapping[str, Any]) -> list[str]:
    """Problems of those of an image set's options that are given, types being right; one message each."""
    problems = []
    for key, least in (("pad", 0), ("cutout", 0), ("workers", 0), ("size", 1), ("resize", 1)):
        value = options.get(key)
        if value is not None and value < least:
            problems.append(describe(f"data.{key}={value}", f"must be {least} or more"))
    for key in ("val_share", "test_share", "jitter"):
        value = options.get(key)
        if value is not None and not 0 <= value < 1:
            problems.append(describe(f"data.{key}={value}", "must be at least 0 and less than 1"))
    both = [options.get(key, 0) for key in ("val_share", "test_share")]
    if max(both) < 1 <= sum(both):
        problems.append(describe(f"data.val_share={both[0]} with data.test_share={both[1]}",
                                 "together they must be less than 1", "the rest is trained on"))
    if not 0 < options.get("min_scale", 1) <= 1:
        problems.append(describe(f"data.min_scale={options['min_scale']}", "must be more than 0 and at most 1"))
    if not 0 <= options.get("fill", 0) <= 255:
        problems.append(describe(f"data.fill={options['fill']}", "must lie between 0 (black) and 255 (white)"))
    for key in ("mean", "std"):
        value = options.get(key)
        if value is not None and (len(value) != 3 or min(value) < 0 or (key == "std" and min(value) == 0)):
            problems.append(describe(f"data.{key}={list(value)}", "must be three shares, of red, green and blue"))
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
    if samples >= batch_size * processes:
        return []
    where = f" on {processes} processes" if processes > 1 else ""
    fits = samples // processes
    return [describe(f"method.batch_size={batch_size}{where}: there are only {samples} pictures to train on",
                     "an epoch needs one full batch",
                     f"set it to {fits} or less" if fits > 1 else "add pictures")]


def insist(problems: Sequence[str]) -> None:
    """Raises all of them at once, if there are any."""
    if problems:
        raise Problems(problems)
