"""Find what a dotted name or a module's name stands for in source files, without importing anything."""

import ast
import copy
import functools
import importlib.util
import sys
from pathlib import Path

from src.core.places import ROOT

OURS = ("src", "tests")  # packages of this project


class TargetError(Exception):
    """A ``_target_`` that is not there; the message says what is missing and what is near."""


@functools.cache
def locate(target: str) -> tuple[Path, str]:
    """Split ``package.module.Name`` into the module's file and the name, by looking at folders only."""
    parts = target.split(".")
    folder = package_folder(parts[0])
    for index, part in enumerate(parts[1:], start=1):
        if (folder / part).is_dir() and index < len(parts) - 1:
            folder = folder / part
            continue
        if (folder / f"{part}.py").is_file() and index == len(parts) - 2:
            return folder / f"{part}.py", parts[-1]
        if index == len(parts) - 1:
            return folder / "__init__.py", part
        raise TargetError(f"there is no module {'.'.join(parts[:index + 1])}")
    raise TargetError(f"{target} is not of the form package.module.Name")


def package_folder(package: str) -> Path:
    """Folder of a top-level package, found without importing it."""
    if (ROOT / package / "__init__.py").is_file() or (ROOT / package).is_dir():
        return ROOT / package
    loaded = sys.modules.get(package)
    spec = getattr(loaded, "__spec__", None) or importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TargetError(f"the package {package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def _tree(file: Path) -> ast.Module | None:
    return ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else None


def definition(file: Path, name: str, depth: int) -> tuple[ast.ClassDef | ast.FunctionDef | None, Path | None]:
    """The class or function called ``name``, followed through ``from x import name``."""
    tree = _tree(file)
    if tree is None or depth == 0:
        return None, None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name and node in tree.body:
            return node, file
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    target = _imported_file(file, node, alias.name)
                    found = definition(target, alias.name, depth - 1) if target else (None, None)
                    return found if found[0] is not None else (None, None)
    return None, file


def _imported_file(file: Path, node: ast.ImportFrom, name: str) -> Path | None:
    """File that ``from <node.module> import <name>`` reads ``name`` from."""
    try:
        folder = file.parent if node.level else package_folder((node.module or "").split(".")[0])
    except TargetError:
        return None
    parts = (node.module or "").split(".") if node.module else []
    for _ in range(max(node.level - 1, 0)):
        folder = folder.parent
    place = folder.joinpath(*(parts if node.level else parts[1:]))
    candidates = [place.with_suffix(".py") if parts else None, place / "__init__.py"]
    return next((path for path in candidates if path is not None and path.is_file()), None)


def spelled(annotation: ast.expr | None, home: Path | None) -> ast.expr | None:
    """An annotation of this project's own code in which the names that it gives to types (``Rule = Literal["all"]``)
    are replaced by those types; other packages' names stay names."""
    ours = home is not None and any(home.is_relative_to(ROOT / package) for package in OURS)
    return _Spelled(home, depth=8).visit(copy.deepcopy(annotation)) if ours and annotation is not None else annotation


class _Spelled(ast.NodeTransformer):
    def __init__(self, home: Path, depth: int) -> None:
        self.home, self.depth = home, depth

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value, home = _alias(self.home, node.id, self.depth)
        return node if value is None else _Spelled(home, self.depth - 1).visit(copy.deepcopy(value))


def _alias(file: Path, name: str, depth: int) -> tuple[ast.expr | None, Path]:
    """The type called ``name`` in a module, and the module where it stands."""
    tree = _tree(file)
    for node in tree.body if tree is not None and depth else ():
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return (node.value if isinstance(node.value, ast.Subscript | ast.BinOp) else None), file
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] in OURS):
            for item in node.names:
                if (item.asname or item.name) == name and (target := _imported_file(file, node, item.name)):
                    return _alias(target, item.name, depth - 1)
    return None, file
