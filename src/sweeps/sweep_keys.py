"""The sweep's own keys, those that its jobs do not see: each exists, and has one value of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from src.core.config.check import check_target, run_level
from src.core.config.compose import Composed
from src.core.errors import Problems, UserError, describe, did_you_mean
from src.sweeps import space
from src.sweeps.commands import SWEEP_KEYS, is_sweeps_own
from src.sweeps.objective import DIRECTIONS, direction_of

PARAMS = "hydra.sweeper.params"


def check_typed(given: Sequence[str]) -> None:
    """Raise ``Problems`` where an override of such a key has several values."""
    problems = [describe(text, "this is the sweep's own key, it cannot vary from job to job", _one_value(text))
                for text in given if is_sweeps_own(text) and space.varies(text)]
    if problems:
        raise Problems(problems)


def check_composed(composed: Composed, nodes: Mapping[str, dict[str, Any]]) -> None:
    """Raise ``Problems`` for such keys that do not exist or are of a wrong kind. ``nodes``: sweeper and launcher.

    What is wrong with the jobs' keys is left to ``check_space``, which knows what a sweep's file adds to each job.
    """
    values = {key: composed.cfg.get(key) for key in SWEEP_KEYS}
    faults = [line for line in [*composed.problems, *run_level(values)] if is_sweeps_own(line)]
    faults += [line for name, node in nodes.items() for line in check_target(f"hydra.{name}", node)]
    faults += [describe(f"{PARAMS}.{key}", "this is the sweep's own key, it cannot vary from job to job",
                        f"set {key} itself, not below params")
               for key in nodes["sweeper"].get("params") or {} if is_sweeps_own(str(key))]
    if faults:
        raise Problems([*composed.problems, *faults])


def aim(cfg: DictConfig) -> tuple[str | None, str | None]:
    """The figure to sort by and the better direction, both as far as they are known now."""
    metric, direction = cfg.optimized_metric, cfg.optimized_direction
    if direction is not None and direction not in DIRECTIONS:
        raise UserError(f"optimized_direction={direction}", "there is no such direction",
                        did_you_mean(str(direction), DIRECTIONS))
    return metric, direction or (direction_of(metric) if metric else None)


def _one_value(text: str) -> str:
    key, _, value = text.partition("=")
    inner = key.removeprefix(f"{PARAMS}.")
    return f"write {inner}={value}" if inner != key else "give one value"
