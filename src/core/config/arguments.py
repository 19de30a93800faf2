"""The keys and values of a node, compared with the arguments of what it builds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from src.core.config import annotation, signature
from src.core.errors import describe, did_you_mean, nearest

if TYPE_CHECKING:
    from src.core.config.origin import Origin

RESERVED = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}
SUPPLIED_BY_CORE = {"logger", "callbacks", "default_root_dir"}


def problems(path: str, node: dict[str, Any], known: signature.Signature, origin: Origin | None = None) -> list[str]:
    """Compare a node's keys and values with the constructor's keyword arguments."""
    found = []
    given = {key: value for key, value in node.items() if key not in RESERVED}
    for key, value in given.items():
        argument = known.arguments.get(key)
        if argument is not None:
            rule = annotation.mismatch(value, argument.annotation) or _not_finite(path, value)
            name = origin.source(f"{path}.{key}") if origin and rule else f"{path}.{key}"
            found += [describe(f"{name}={shown(value)}", rule, _fix(name, value, argument, origin))] if rule else []
        elif not known.open:
            found.append(describe(f"{path}.{key}={shown(value)}", f"{node['_target_']} has no argument {key}",
                                  did_you_mean(key, known.arguments)))
    if not node.get("_partial_") and not node.get("_args_"):
        found += [describe(f"{path}.{key}", f"{node['_target_']} needs a value for it", f"add {path}.{key}=...")
                  for key, argument in known.arguments.items()
                  if argument.required and key not in given and key not in SUPPLIED_BY_CORE]
    return found


def _not_finite(path: str, value: Any) -> str | None:
    """A method computes with its numbers; elsewhere infinity may be a limit that is never reached."""
    infinite = path == "method" and isinstance(value, float) and not math.isfinite(value)
    return "must be a finite number" if infinite else None


def _fix(name: str, value: Any, argument: signature.Argument, origin: Origin | None) -> str:
    """What to write where it follows from the value and its place."""
    if isinstance(value, float) and value.is_integer() and not annotation.mismatch(int(value), argument.annotation):
        return f"write {name}={int(value)}"
    if isinstance(value, str) and (meant := nearest(value, annotation.words_of(argument.annotation))):
        return f"did you mean {meant}?"
    if origin is None:
        return ""
    if value == annotation.MISSING:
        return origin.example(name)
    replaced = annotation.takes_mapping(argument.annotation) and not isinstance(value, dict)
    return origin.keys(name) if replaced else ""


def shown(value: Any) -> str:
    """A value as it is typed, cut short."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
