"""Every value of a sweep is checked before its first job starts."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.core.config.check import RUN_KEYS, check
from src.core.config.compose import Composed, compose, plain
from src.core.errors import Problems, UserError
from src.sweeps.space import Space, Values

MOST_POINTS, MOST_COMPOSED = 64, 12  # a check takes 0.05 s, composing half a second


def check_space(space: Space, base: Sequence[str], roots: Sequence[Path]) -> list[dict[str, Any]]:
    """The different trainers that jobs have.

    Raises ``Problems`` with what is wrong in any job: each value by itself, combinations where that is cheap.
    """
    checker, problems = _Checker(base, roots), []
    for values in points(space, checker):
        problems += checker.problems(values)
    if problems:
        raise Problems(problems)
    return checker.trainers


def points(space: Space, checker: _Checker) -> list[Values]:
    """All combinations (of the ends of intervals; of the first seed) if they are few, and each value beside the others'
    first ones."""
    probes = {key: one.probes for key, one in space.items()}
    first = {key: values[0] for key, values in probes.items()}
    found = [first] + [first | {key: value} for key, values in probes.items() for value in values[1:]]
    crossed = {key: values[:1] if key == "seed" else values for key, values in probes.items()}
    count = composed = 1
    for key, values in crossed.items():
        count *= len(values)
        composed *= 1 if checker.is_plain(key, first) else len(values)
    if count <= MOST_POINTS and composed <= MOST_COMPOSED:
        found += [dict(zip(crossed, values, strict=True)) for values in itertools.product(*crossed.values())]
    return [values for place, values in enumerate(found) if values not in found[:place]]


class _Checker:
    """Composes once for each choice of parts, and puts plain values into the result."""

    def __init__(self, base: Sequence[str], roots: Sequence[Path]) -> None:
        self._base, self._roots = base, roots
        self.trainers: list[dict[str, Any]] = []  # of the jobs that were checked
        self._known: dict[tuple[str, ...], Composed | list[str]] = {}

    def is_plain(self, key: str, values: Values) -> bool:
        """Whether a key only changes a value, in jobs like this one."""
        found = self._compose(tuple(f"{one}={value}" for one, value in values.items() if _may_choose(one)))
        return isinstance(found, Composed) and not _may_choose(key) and _has(found, key)

    def problems(self, values: Values) -> list[str]:
        """What is wrong with one job, one line each."""
        chosen = tuple(f"{key}={value}" for key, value in values.items() if _may_choose(key))
        found = self._compose(chosen)
        if isinstance(found, list):
            return found
        inner = {key: value for key, value in values.items() if not _may_choose(key)}
        strange = tuple(f"{key}={value}" for key, value in inner.items() if not _has(found, key))
        if strange:  # Hydra may know what to make of them, and says so if not
            found = self._compose(chosen + strange)
            if isinstance(found, list):
                return found
        return self._check(found, {key: value for key, value in inner.items() if _has(found, key)})

    def _compose(self, chosen: tuple[str, ...]) -> Composed | list[str]:
        if chosen not in self._known:
            try:
                self._known[chosen] = compose([*self._base, *chosen], self._roots)
            except UserError as error:
                self._known[chosen] = error.lines()
        return self._known[chosen]

    def _check(self, composed: Composed, inner: Values) -> list[str]:
        cfg = copy.deepcopy(composed.cfg)
        try:
            for key, value in inner.items():
                OmegaConf.update(cfg, key, OverridesParser.create().parse_override(f"{key}={value}").value())
            found = plain(cfg)
            check(found, composed.problems)
        except UserError as error:
            return error.lines()
        except OmegaConfBaseException as error:
            return [*composed.problems, " ".join(str(error).split())]
        trainer = found.get("trainer") or {}
        if trainer not in self.trainers:
            self.trainers.append(trainer)
        return []


def _may_choose(key: str) -> bool:
    """Whether a key may be a group's: those may change everything."""
    return not key.replace(".", "").isidentifier() or ("." not in key and key not in RUN_KEYS)


def _has(composed: Composed, key: str) -> bool:
    missing = object()
    try:
        return OmegaConf.select(composed.cfg, key, default=missing) is not missing
    except OmegaConfBaseException:
        return False
