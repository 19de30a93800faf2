"""Overrides as they have to be typed: text that Hydra would misread in its quotes, and those in the shell's."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException


def typed(key: str, value: str | Path) -> str:
    """``key=value`` for a command line, such as ``"run_dir='/path, with comma'"``."""
    return in_shell(f"{key}={in_hydra(str(value))}")


def in_hydra(value: str) -> str:
    """The text itself if Hydra reads it as that text, else in Hydra's quotes."""
    return value if _read(value) == value else quoted(value)


def notation(value: Any, text: Callable[[str], str] = in_hydra) -> str:
    """A plain value (None, bool, number, str, list, dict) in Hydra's notation; ``text`` writes its strings."""
    if isinstance(value, list):
        return f"[{','.join(notation(one, text) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}: {notation(one, text)}' for key, one in value.items())}}}"
    if isinstance(value, str):
        return text(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def quoted(value: str) -> str:
    """The text in Hydra's quotes."""
    return QuotedString(value, Quote.single).with_quotes()


def in_shell(word: str) -> str:
    """The word as a shell reads it back; of the quotes those that are easiest to read."""
    if shlex.quote(word) == word or "'" not in word:
        return shlex.quote(word)
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'


def text_of(value: str) -> str:
    """What a value that was typed in Hydra's quotes says, or one without."""
    found = _read(value)
    return value if found is None else found


def _read(value: str) -> str | None:
    """The text that Hydra reads there; None if it reads something else, or several values."""
    try:
        item = OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return None
    found = None if item.is_sweep_override() else item.value()
    return found if isinstance(found, str) else None
