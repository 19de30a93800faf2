"""Overrides as they have to be typed: text that Hydra would misread in its quotes, and those in the shell's."""

import shlex
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def typed(key: str, value: str | Path) -> str:
    """``key=value`` for a command line, such as ``"run_dir='/path, with comma'"``."""
    return in_shell(f"{key}={in_hydra(str(value))}")


def in_hydra(value: str) -> str:
    """The text itself if Hydra reads it as that text, else in Hydra's quotes."""
    try:
        item = OverridesParser.create().parse_override(f"key={value}")
        if not item.is_sweep_override() and item.value() == value:
            return value
    except HydraException:
        pass
    return "'" + value.replace("'", r"\'") + "'"


def in_shell(word: str) -> str:
    """The word as a shell reads it back; of the quotes those that are easiest to read."""
    if shlex.quote(word) == word or "'" not in word:
        return shlex.quote(word)
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'


def text_of(value: str) -> str:
    """What a value that was typed in Hydra's quotes says, or one without."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1].replace(f"\\{value[0]}", value[0]) if quoted else value
