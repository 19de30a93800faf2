"""Backward progressive training: how many of the last denoising steps are trained at each stage, s_i.

Pure Python, so that the static check can use it before anything heavy is imported.
"""

from collections.abc import Sequence

from src.core.errors import describe, did_you_mean

USED = {"constant": ("start",), "linear": ("start", "end"), "stepped": ("values",), "list": ("values",)}  # by a shape
SHAPES = tuple(USED)


def interval(
    stage: int,
    *,
    stages: int,
    steps: int,
    shape: str = "linear",
    start: int | None = None,
    end: int | None = None,
    values: Sequence[int] = (),
) -> int:
    """s_i: the number of trained steps, counted from the end of the chain, at stage i = 0 .. stages - 1.

    Args:
        steps: T; also what `start` and `end` mean when they are None.
        shape: `constant`: `start`, always. `linear`: s_i = start + floor(i (end - start + 1) / stages), at most `end`;
            the reference's 14 + floor(7 i / 100) is start=14, end=20, stages=100. `stepped`: `values` in turn, each
            for an equal share of the stages. `list`: `values[i]`.
    """
    start, end = steps if start is None else start, steps if end is None else end
    if shape == "constant":
        return start
    if shape == "linear":
        return min(end, start + stage * (end - start + 1) // stages)
    place = stage * len(values) // stages if shape == "stepped" else stage
    return values[min(place, len(values) - 1)]


def problems(
    *,
    stages: int,
    steps: int,
    shape: str = "linear",
    start: int | None = None,
    end: int | None = None,
    values: Sequence[int] | None = (),
    prefix: str = "interval.",
) -> list[str]:
    """What is wrong with a schedule, one message each (value, rule, fix); empty if every stage has 1 to T steps."""
    if shape not in SHAPES:
        return [describe(f"{prefix}shape={shape}", "there is no such schedule", did_you_mean(str(shape), SHAPES))]
    given = (("start", start), ("end", end))
    bounds = {name: value for name, value in given if name in USED[shape] and value is not None}
    found = [text for name, value in bounds.items() for text in _bound(prefix + name, value, steps)]
    if shape == "linear" and not found and (end or steps) < (start or steps):
        found.append(
            describe(
                f"{prefix}start={start or steps} and {prefix}end={end or steps}",
                "a linear interval grows",
                f"swap the two, or use {prefix}shape=list",
            )
        )
    if shape in ("stepped", "list"):
        found += _values(list(values or ()), shape, stages, steps, prefix)
    return found


def _bound(name: str, value: object, steps: int) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, int):
        return [describe(f"{name}={value}", "an interval is a whole number of denoising steps", f"give 1 to {steps}")]
    if value < 1:
        return [describe(f"{name}={value}", "an interval has at least one denoising step", f"give 1 to {steps}")]
    if value > steps:
        rule = f"an interval cannot be longer than the {steps} denoising steps"
        return [describe(f"{name}={value}", rule, f"lower it to {steps} or less, or raise steps")]
    return []


def _values(values: list, shape: str, stages: int, steps: int, prefix: str) -> list[str]:
    name = f"{prefix}values"
    found = [text for place, value in enumerate(values) for text in _bound(f"{name}[{place}]", value, steps)]
    if not values:
        rule = f"{prefix}shape={shape} takes its intervals from there"
        found.append(describe(f"{name}=[]", rule, "give a list such as [5,10]"))
    elif shape == "list" and len(values) < stages:
        rule = f"shape=list takes one for each of the {stages} stages"
        fix = f"add {stages - len(values)}, or use {prefix}shape=stepped, which spreads them"
        found.append(describe(f"{name} has {len(values)} entries", rule, fix))
    elif shape == "stepped" and len(values) > stages:
        rule = f"with {stages} stages some would never be used"
        fix = f"remove {len(values) - stages}, or raise stages"
        found.append(describe(f"{name} has {len(values)} entries", rule, fix))
    return found
