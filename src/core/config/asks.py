"""Which parts the chosen method takes, read off its constructor; parts that it does not take need not be checked."""

import ast
from typing import Any

from src.core.config import signature
from src.core.config.source import TargetError


def takes(cfg: dict[str, Any], name: str) -> bool:
    """Whether the method has an argument `name`; True where that cannot be told."""
    known = _known(cfg)
    return known is None or known.open or name in known.arguments


def kind_of(cfg: dict[str, Any], name: str) -> str | None:
    """The class that the method wants as its argument `name`, or None where that cannot be told."""
    known = _known(cfg)
    argument = known.arguments.get(name) if known else None
    return ast.unparse(argument.annotation) if argument and argument.annotation else None


def _known(cfg: dict[str, Any]) -> signature.Signature | None:
    target = (cfg.get("method") or {}).get("_target_")
    try:
        return signature.read(target) if isinstance(target, str) else None
    except TargetError:  # another check's
        return None
