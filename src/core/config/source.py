"""Find what a dotted name or a module's name stands for in source files, without importing anything."""

import ast
import copy
import functools
import importlib.util
import sys
from collections.abc import Sequence
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
def _names(file: Path) -> dict[str, ast.stmt] | None:
    """What a module's names stand for: the class, function or assignment on its top level, or an import anywhere."""
    if not file.is_file():
        return None
    tree = ast.parse(file.read_text(encoding="utf-8"))
    top, found = set(map(id, tree.body)), {}
    for node in ast.walk(tree):
        given: list[str] = []
        if isinstance(node, ast.ImportFrom):
            given = [alias.asname or alias.name for alias in node.names]
        elif id(node) in top and isinstance(node, ast.ClassDef | ast.FunctionDef):
            given = [node.name]
        elif id(node) in top and isinstance(node, ast.Assign):
            given = [target.id for target in node.targets if isinstance(target, ast.Name)]
        for name in given:
            found.setdefault(name, node)
    return found


def definition(file: Path, name: str, depth: int) -> tuple[ast.ClassDef | ast.FunctionDef | None, Path | None]:
    """The class or function called ``name``, followed through ``from x import name``."""
    found, home = _statement(file, name, depth)
    return (found if isinstance(found, ast.ClassDef | ast.FunctionDef) else None), home


def _statement(file: Path, name: str, depth: int, within: Sequence[str] = ()) -> tuple[ast.stmt | None, Path | None]:
    """The statement of a module that gives something the name, followed through imports (of the packages ``within``
    alone, if any are named), and the file it stands in."""
    names = _names(file)
    if names is None or depth == 0:
        return None, None
    node = names.get(name)
    if not isinstance(node, ast.ImportFrom):
        return node, file
    if within and not node.level and (node.module or "").split(".")[0] not in within:
        return None, None
    original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
    target = _imported_file(file, node, original)
    found, home = _statement(target, original, depth - 1, within) if target else (None, None)
    return found, None if found is None else home


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
        found, home = _statement(self.home, node.id, self.depth, OURS)
        if home is None or not isinstance(found, ast.Assign) or not isinstance(found.value, ast.Subscript | ast.BinOp):
            return node
        return _Spelled(home, self.depth - 1).visit(copy.deepcopy(found.value))
