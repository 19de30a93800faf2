"""What can be said about prompts and pictures before anything is loaded. Imports nothing heavy."""

from __future__ import annotations

import inspect
from typing import Any

from src.core.errors import UserError
from src.data.images.check import picture_problems
from src.data.images.idle import idle as idle
from src.data.prompts import PromptSet, read_prompts
from src.data.templates import TemplatePrompts

READABLE = {f"{kind.__module__}.{kind.__name__}": kind for kind in (PromptSet, TemplatePrompts)}


def check(cfg: dict[str, Any]) -> list[str]:
    """Every problem of `cfg["data"]`, one message each: value, rule, fix."""
    data = dict(cfg.get("data") or {})
    target = str(data.pop("_target_", ""))
    if "???" in data.values():  # a missing value is another check's
        return []
    kind = READABLE.get(target)
    if kind is None:
        return picture_problems(target, data, cfg)
    problems = _file_problems(data) if kind is PromptSet else []
    return problems or _built(kind, data)


def _file_problems(data: dict[str, Any]) -> list[str]:
    """Of both lists, each on its own."""
    problems = []
    for key in ("train", "heldout"):
        if isinstance(data.get(key), str | list):
            try:
                read_prompts(data[key], f"data.{key}")
            except UserError as error:
                problems.append(str(error))
    return problems


def _built(kind: type, data: dict[str, Any]) -> list[str]:
    """Builds it as the run will; names and types of the keys are another check's."""
    try:
        inspect.signature(kind).bind(**data)
        kind(**data)
    except UserError as error:
        return [str(error)]
    except (TypeError, ValueError, AttributeError):
        return []
    return []
