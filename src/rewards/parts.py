"""What can be said about the parts of a mix of rewards before anything is loaded. Pure Python."""

from __future__ import annotations

from typing import Any

from src.core.config import ranges
from src.core.config.ranges import above, is_number
from src.core.errors import describe, did_you_mean
from src.core.places import CONF
from src.rewards import names

DEVIATION = {"std": above(0, "give the values' standard deviation")}
NO_PARTS = {"none", "mix"}
OWN = "a function of your own: {weight:1,target:my_module.my_function}"


def problems(reward: dict[str, Any], where: str) -> list[str]:
    """One message for each part that is no reward, cannot name a figure, or has a wrong weight, mean or std."""
    parts, fix = reward.get("parts"), f"write {where}.parts={{clip:1.0,jpeg_compressibility:0.01}}"
    if not isinstance(parts, dict) or not parts:
        return [describe(f"{where}.parts={'null' if parts is None else parts}", "names rewards and their weights", fix)]
    known = {file.stem for file in (CONF / "reward").glob("*.yaml")} - NO_PARTS
    found = []
    for name, given in parts.items():
        place = f"{where}.parts.{name}"
        if name not in known | _others(reward):
            found.append(describe(place, "there is no such reward", f"{did_you_mean(name, known)}; {OWN}"))
        found += names.word(place, str(name)) + _scale(given, place, fix)
    return found


def _others(reward: dict[str, Any]) -> set[str]:
    """Parts that were found elsewhere: in a folder of --config-dir, or a function of the user's own."""
    return set(found) - NO_PARTS if isinstance(found := reward.get("rewards"), dict) else set()


def _scale(given: Any, place: str, fix: str) -> list[str]:
    """Problems of a part's weight, mean and std."""
    options = given if isinstance(given, dict) else {"weight": given}
    if "weight" not in options:
        return [describe(f"{place}.weight", "is missing", "add weight: 1.0")]
    found = ranges.problems(place, options, DEVIATION)
    return found + [describe(f"{place}.{key}={options[key]}" if isinstance(given, dict) else f"{place}={given}",
                             "must be a number", fix)
                    for key in ("weight", "mean", "std") if key in options and not is_number(options[key])]
