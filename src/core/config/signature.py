"""Read a constructor's arguments out of its source file, without importing anything."""

import ast
import functools
from dataclasses import dataclass, field
from pathlib import Path

from src.core.config.source import OURS, TargetError, definition, locate, spelled


@dataclass(frozen=True)
class Argument:
    """One keyword argument: its annotation (source text as a tree, or None) and whether it must be given."""

    annotation: ast.expr | None
    required: bool


@dataclass
class Signature:
    """The keyword arguments a target takes. ``open``: it also takes ``**kwargs``, so any name is fine."""

    arguments: dict[str, Argument] = field(default_factory=dict)
    open: bool = False


@functools.cache
def read(target: str) -> Signature | None:
    """The signature of a dotted target, or None where the source cannot tell (compiled code, factories).

    Raises ``TargetError`` if package, module or name do not exist.
    """
    module, name = locate(target)
    node, home = definition(module, name, depth=8)
    if node is None:
        if _is_ours(target) and home is not None:
            raise TargetError(f"{module} has no {name}")
        return None
    if isinstance(node, ast.ClassDef):
        return _of_class(node, home, depth=8)
    return _of_function(node, home, skip_self=False)


def _is_ours(target: str) -> bool:
    return target.split(".")[0] in OURS


def _of_class(node: ast.ClassDef, home: Path | None, depth: int) -> Signature | None:
    """Arguments of ``__init__``, its own or the first base's; dataclasses by their fields."""
    if any("dataclass" in ast.unparse(item) for item in node.decorator_list):
        return _of_dataclass(node, home)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _of_function(item, home, skip_self=True)
    if not node.bases and depth > 0:
        return Signature()
    for base in node.bases:
        base_name = ast.unparse(base).split("[")[0]
        if home is None or depth == 0 or "." in base_name:
            return None
        found, place = definition(home, base_name, depth)
        return _of_class(found, place, depth - 1) if isinstance(found, ast.ClassDef) else None
    return None


def _of_dataclass(node: ast.ClassDef, home: Path | None) -> Signature | None:
    if any(ast.unparse(base) not in ("object",) for base in node.bases):
        return None
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return Signature({item.target.id: Argument(spelled(item.annotation, home), item.value is None)
                      for item in fields if "ClassVar" not in ast.unparse(item.annotation)})


def _of_function(node: ast.FunctionDef, home: Path | None, skip_self: bool) -> Signature:
    args = node.args
    positional = [*args.posonlyargs, *args.args][1 if skip_self else 0:]
    without_default = len(positional) - len(args.defaults)
    found = {item.arg: Argument(spelled(item.annotation, home), index < max(without_default, 0))
             for index, item in enumerate(positional)}
    for item, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        found[item.arg] = Argument(spelled(item.annotation, home), default is None)
    return Signature(found, open=args.kwarg is not None)
