"""Prompts made from a template, split so that every part is trained but the held-out combinations are not."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from string import Formatter

from src.core.errors import UserError
from src.data.prompts import PromptSet

Combination = tuple[str, ...]


class TemplatePrompts(PromptSet):
    """The prompts of one template, as the paper's three are: 'a {animal} {activity}' with a list for each slot."""

    def __init__(
        self,
        *,
        template: str,  # with a slot in braces for each list of `parts`
        parts: dict[str, list[str]],  # slot -> what may stand there
        train: int,  # prompts to train on; each part occurs in them, as evenly as can be
        heldout: int | None = None,  # prompts held out; null: all other combinations
        split_seed: int = 0,  # of the split alone: the same prompts for every run seed
        name: str = "prompts",  # for the banner
    ) -> None:
        """Raises UserError for a template that does not fit its parts and for counts that cannot be had."""
        trained, held = make_prompts(template, parts, train, heldout, split_seed)
        super().__init__(train=trained, heldout=held or None, name=name)


def make_prompts(template: str, parts: Mapping[str, Sequence[str]], train: int, heldout: int | None = None,
                 seed: int = 0) -> tuple[list[str], list[str]]:
    """(train, heldout) prompts of a template over all combinations of its parts; see `split_combinations`."""
    slots = _slots(template)
    if not slots or slots != set(parts) or not all(parts.values()):
        raise UserError(f"data.template={template!r} has the slots {sorted(slots)}, data.parts has {sorted(parts)}",
                        fix="give each slot a list that is not empty, and no other list")
    combinations = list(product(*(dict.fromkeys(values) for values in parts.values())))
    chosen = split_combinations(combinations, train, heldout, seed)
    trained, held = ([template.format(**dict(zip(parts, c, strict=True))) for c in group] for group in chosen)
    return trained, held


def _slots(template: str) -> set[str]:
    try:
        return {slot for _, slot, _, _ in Formatter().parse(template) if slot is not None}
    except ValueError as error:
        raise UserError(f"data.template={template!r}: {error}", fix="write slots as {name}") from error


def split_combinations(combinations: Sequence[Combination], train: int, heldout: int | None = None,
                       seed: int = 0) -> tuple[list[Combination], list[Combination]]:
    """Chooses `train` combinations so that each part of each place is used as evenly as can be, and `heldout` others.

    The held-out ones (None: all others) have only parts that are trained. With 45 animals, 3 activities and train=45,
    each animal is trained with one activity and each activity with 15 animals. Raises UserError if train is too small.
    """
    least = max(len({c[place] for c in combinations}) for place in range(len(combinations[0])))
    if not least <= train <= len(combinations):
        raise UserError(f"data.train={train}: must lie between {least}, or a part is never trained, and "
                        f"{len(combinations)}, the number of combinations")
    trained = _evenly(combinations, train, seed)
    taken = set(trained)
    others = [combination for combination in combinations if combination not in taken]
    if heldout is not None and not 0 <= heldout <= len(others):
        raise UserError(f"data.heldout={heldout}: must lie between 0 and {len(others)}, the combinations that are left",
                        fix="change data.heldout or data.train, or hold all others out with data.heldout=null")
    held = others if heldout is None else _evenly(others, heldout, seed + 1)
    _check_parts(trained, held, train)
    return trained, held


def _evenly(combinations: Sequence[Combination], count: int, seed: int) -> list[Combination]:
    """`count` combinations, each next one the one whose parts were used least so far; ties fall by `seed`."""
    if not count:
        return []
    expected = [count / len({c[place] for c in combinations}) for place in range(len(combinations[0]))]
    used: Counter[tuple[int, str]] = Counter()

    def cost(combination: Combination) -> tuple[float, float]:
        shares = [used[place, part] / expected[place] for place, part in enumerate(combination)]
        return max(shares), sum(shares)

    order = random.Random(seed).sample(range(len(combinations)), len(combinations))
    heap = [((0.0, 0.0), rank, combinations[index]) for rank, index in enumerate(order)]
    chosen: list[Combination] = []
    while len(chosen) < count:
        known, rank, combination = heapq.heappop(heap)
        if known < (now := cost(combination)):  # costs only grow: an outdated entry goes back
            heapq.heappush(heap, (now, rank, combination))
            continue
        chosen.append(combination)
        used.update(enumerate(combination))
    return chosen


def _check_parts(trained: Sequence[Combination], held: Sequence[Combination], train: int) -> None:
    known = {part for combination in trained for part in enumerate(combination)}
    unknown = sorted({part for combination in held for part in enumerate(combination)} - known)
    if unknown:
        raise UserError(f"data.train={train}: {unknown[0][1]!r} would be held out but never trained",
                        fix="raise data.train")
