"""Whether what a module's source defines can be called with pictures and prompts. Pure Python."""

from __future__ import annotations

import ast


def problem(tree: ast.Module, name: str) -> tuple[str, str] | None:
    """Rule and fix for a name that the module's top level sets once, to a constant or to a function of fewer arguments;
    None where that cannot be told."""
    found = [node for node in tree.body if name in _sets(node)]
    if len(found) != 1:
        return None
    if isinstance(found[0], ast.Assign) and isinstance(found[0].value, ast.Constant):
        return f"is {found[0].value.value!r}, and should be called", "name a function or a class"
    if isinstance(found[0], ast.FunctionDef) and not found[0].decorator_list:
        return _too_few(found[0])
    return None


def _too_few(function: ast.FunctionDef) -> tuple[str, str] | None:
    given = function.args
    count = len(given.posonlyargs) + len(given.args)
    if count >= 2 or given.vararg:
        return None
    arguments = f"{count} argument{'' if count == 1 else 's'}"
    return f"takes {arguments}, and is called with pictures and prompts", f"write def {function.name}(images, prompts)"


def _sets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
