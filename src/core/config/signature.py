"""Read a constructor's arguments out of its source file, without importing anything."""

import ast
import functools
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path

from src.core.places import ROOT


class TargetError(Exception):
    """A ``_target_`` that is not there; the message says what is missing and what is near."""


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
    node, home = _definition(module, name, depth=8)
    if node is None:
        if _is_ours(target) and home is not None:
            raise TargetError(f"{module} has no {name}")
        return None
    return _of_class(node, home, depth=8) if isinstance(node, ast.ClassDef) else _of_function(node, skip_self=False)


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
    raise TargetError(f"{target} is no package.module.Name")


def package_folder(package: str) -> Path:
    """Folder of a top-level package, found without importing it."""
    if (ROOT / package / "__init__.py").is_file() or (ROOT / package).is_dir():
        return ROOT / package
    loaded = sys.modules.get(package)
    spec = getattr(loaded, "__spec__", None) or importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TargetError(f"the package {package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def _is_ours(target: str) -> bool:
    return target.split(".")[0] in ("src", "tests")


@functools.cache
def _tree(file: Path) -> ast.Module | None:
    return ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else None


def _definition(file: Path, name: str, depth: int) -> tuple[ast.ClassDef | ast.FunctionDef | None, Path | None]:
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
                    found = _definition(target, alias.name, depth - 1) if target else (None, None)
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


def _of_class(node: ast.ClassDef, home: Path | None, depth: int) -> Signature | None:
    """Arguments of ``__init__``, its own or the first base's; dataclasses by their fields."""
    if any("dataclass" in ast.unparse(item) for item in node.decorator_list):
        return _of_dataclass(node)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _of_function(item, skip_self=True)
    if not node.bases and depth > 0:
        return Signature()
    for base in node.bases:
        base_name = ast.unparse(base).split("[")[0]
        if home is None or depth == 0 or "." in base_name:
            return None
        found, place = _definition(home, base_name, depth)
        return _of_class(found, place, depth - 1) if isinstance(found, ast.ClassDef) else None
    return None


def _of_dataclass(node: ast.ClassDef) -> Signature | None:
    if any(ast.unparse(base) not in ("object",) for base in node.bases):
        return None
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return Signature({item.target.id: Argument(item.annotation, item.value is None)
                      for item in fields if "ClassVar" not in ast.unparse(item.annotation)})


def _of_function(node: ast.FunctionDef, skip_self: bool) -> Signature:
    args = node.args
    positional = [*args.posonlyargs, *args.args][1 if skip_self else 0:]
    without_default = len(positional) - len(args.defaults)
    found = {item.arg: Argument(item.annotation, index < max(without_default, 0))
             for index, item in enumerate(positional)}
    for item, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        found[item.arg] = Argument(item.annotation, default is None)
    return Signature(found, open=args.kwarg is not None)
