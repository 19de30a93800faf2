"""Finds what an import path names by reading source files, without importing anything. Pure Python."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from src.core.errors import describe, did_you_mean
from src.rewards import calling

RULE = "is no import path of the form my_module.my_function"


def target_problem(target: str, option: str = "reward.target", options: Collection[str] | None = None) -> str | None:
    """What is wrong with `package.module.name`, called with these options, as far as source files tell; None if nothing
    is."""
    parts = target.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return describe(f"{option}={target}", RULE, "put the function into a .py file and name both")
    file, rest, folders = _locate(parts)
    if file is None:
        first, known = len(rest) == len(parts), _modules(folders[0])
        if first and _importable(parts[0]):
            return None  # built in or compiled
        rule = f"there is no module {'.'.join(parts[: len(parts) - len(rest) + 1])}"
        return describe(f"{option}={target}", rule, did_you_mean(rest[0], known, show_all=8))
    names = _names(file)
    if names is None:
        return None
    if rest[0] in names:
        wrong = calling.problem(_tree(file), rest[0], options) if len(rest) == 1 else None
        return describe(f"{option}={target}", *wrong) if wrong else None
    own = _names(file, imports=False) or names
    return describe(f"{option}={target}", f"{file} has no {rest[0]}", did_you_mean(rest[0], own))


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _locate(parts: list[str]) -> tuple[Path | None, list[str], list[Path]]:
    """The file that should define the first of the words returned; without a file, the folders that lack the word."""
    folders = [Path.cwd(), *(Path(folder) for folder in sys.path if folder)]
    init: Path | None = None
    for index, part in enumerate(parts[:-1]):
        here = next((place for folder in folders for place in _places(folder / part)), None)
        if here is None and init is not None and part in (_names(init) or {part}):
            return init, parts[index:], folders
        if here is None:
            return None, parts[index:], folders
        if here.is_file():
            return here, parts[index + 1 :], folders
        folders, init = [here], here / "__init__.py"
    return init, parts[-1:], folders


def _places(path: Path) -> list[Path]:
    """A package's folder before a module's file before a folder without __init__.py, as Python looks."""
    package = [path] if path.is_dir() else []
    module = [path.with_name(f"{path.name}.py")]
    ordered = package + module if (path / "__init__.py").is_file() else module + package
    return [place for place in ordered if place.exists()]


def _importable(name: str) -> bool:
    try:
        return name in sys.builtin_module_names or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _modules(folder: Path) -> list[str]:
    """Names that can be imported from a folder, hidden and private ones left out."""
    places = folder.iterdir() if folder.is_dir() else ()
    return [place.stem for place in places if not place.name.startswith(("_", "."))
            and (place.suffix == ".py" or (place / "__init__.py").is_file())]


def _names(file: Path, imports: bool = True) -> set[str] | None:
    """What a module defines or imports at its top level; None if that cannot be read off (`import *`, no source)."""
    try:
        tree = _tree(file)
    except (SyntaxError, UnicodeDecodeError, OSError):
        return None
    nodes = [node for node in _top_level(tree) if imports or not isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for node in nodes for name in _defined(node)}
    return None if names & {"*", "__getattr__"} else names


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a module, without the insides of functions and classes."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _top_level(child)


def _defined(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    return [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else []
