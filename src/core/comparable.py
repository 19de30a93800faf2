"""Figures that are compared have to be made alike, but for the weights: refused before anything is loaded."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from src.core import runfolder
from src.core.config import drift
from src.core.errors import Problems, UserError, describe
from src.core.states import State


def check_before_and_after(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """A run that is continued compares with its figures from before training: what they were made with stays as it is.

    Both are what the method's ``evaluated_as`` said, a key to type and its value each; ``earlier`` may know less.
    """
    if other := [key for key in now if key in earlier and earlier[key] != now[key]]:
        raise UserError(", ".join(f"{key}={now[key]}" for key in other), "this run was evaluated before training "
                        f"with {', '.join(f'{key}={earlier[key]}' for key in other)}, which the figures after it "
                        "are compared with", "keep the old value, or start a new run")


def check_states(states: Sequence[State], cfg: Mapping[str, Any], keys: Sequence[str], typed: Collection[str]) -> None:
    """States of several runs are evaluated alike in ``keys``. With what, must not hang on which run stands first:
    where they differ it has to be ``typed``."""
    problems = []
    for run in dict.fromkeys(state.run for state in states if state.run):
        for key, made, now in drift.differences(runfolder.config(run), cfg):
            if drift.is_under(key, keys) and not drift.is_under(key, typed):
                rule = f"{runfolder.short(run)} was made with {drift.told(key, made)}, and all are evaluated alike"
                problems.append(describe(drift.told(key, now), rule, f"{drift.either(key, made, now)} for all of them"))
    if problems:
        raise Problems(problems)
