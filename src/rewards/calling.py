"""Whether what a module's source defines can be called with pictures, prompts and options. Pure Python."""

from __future__ import annotations

import ast
from collections.abc import Collection

from src.core.errors import did_you_mean


def problem(tree: ast.Module, name: str, options: Collection[str] | None = None) -> tuple[str, str] | None:
    """Rule and fix for a name that the module's top level sets once, to a constant, or to a function or class whose
    arguments are others than `options` (of a function: after pictures and prompts; with None they are not known); None
    where that cannot be told."""
    found = [node for node in tree.body if name in _sets(node)]
    if len(found) != 1:
        return None
    node = found[0]
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        return f"is {node.value.value!r}, and should be called", "name a function or a class"
    if isinstance(node, ast.FunctionDef) and not node.decorator_list:
        return _too_few(node) or _others(node, 2, options)
    if isinstance(node, ast.ClassDef) and not node.decorator_list and not node.bases and not node.keywords:
        made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        return _others(made[0], 1, options) if made else None
    return None


def _too_few(function: ast.FunctionDef) -> tuple[str, str] | None:
    given = function.args
    count = len(given.posonlyargs) + len(given.args)
    if count >= 2 or given.vararg:
        return None
    arguments = f"{count} argument{'' if count == 1 else 's'}"
    return f"takes {arguments}, and is called with pictures and prompts", f"write def {function.name}(images, prompts)"


def _others(function: ast.FunctionDef, given: int, options: Collection[str] | None) -> tuple[str, str] | None:
    """After the first arguments, which are given by place: one that is needed and no option, or an option too many."""
    if options is None:
        return None
    places, named = [*function.args.posonlyargs, *function.args.args], function.args.kwonlyargs
    needed = [item.arg for item in places[given : len(places) - len(function.args.defaults)]]
    needed += [item.arg for item, default in zip(named, function.args.kw_defaults, strict=True) if default is None]
    if missing := [name for name in needed if name not in options]:
        return f"also needs {', '.join(missing)}", f"give options={{{missing[0]}:...}}, or a default in the source"
    known = [item.arg for item in [*places[given:], *named]]
    wrong = [name for name in options if name not in known]
    if not wrong or function.args.kwarg:
        return None
    return f"takes no option {wrong[0]}", did_you_mean(wrong[0], known) if known else "leave options out"


def _sets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
