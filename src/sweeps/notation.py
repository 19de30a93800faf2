"""Values of a sweep's file in the notation of the command line."""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from src.core.config.quoting import notation, quoted


def typed(value: Any) -> str:
    """A value of a YAML file as it would be typed: a list holds the values to try, a string is Hydra's notation."""
    if isinstance(value, list):
        return ",".join(notation(one, _text) for one in value)
    return value if isinstance(value, str) else notation(value, _text)


def _text(value: str) -> str:
    return value if _reads_as_one(value) else quoted(value)


def _reads_as_one(text: str) -> bool:
    """Whether Hydra takes a string without quotes, or with those that it has, for one value: itself, or a number."""
    try:
        value = OverridesParser.create().parse_override(f"x={{y: {text}}}").value()
    except HydraException:
        return False
    if not isinstance(value, dict) or list(value) != ["y"]:
        return False
    found = value["y"]
    if isinstance(found, str):
        return found == text or text[0] in "'\""
    return found is None or isinstance(found, int | float)
