"""Compare plain values with annotations that were read as source text."""

import ast
from typing import Any

from src.core.config.ranges import is_number

_SIMPLE = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "tuple": list, "dict": dict,
           "Sequence": list, "Iterable": list, "Mapping": dict, "Path": str, "List": list, "Dict": dict, "Tuple": list}
MAPPINGS = ("dict", "Mapping", "Dict")
MISSING = "???"


def mismatch(value: Any, annotation: ast.expr | None) -> str | None:
    """None if the value fits, else the rule it breaks, such as ``must be an int``. Unknown annotations accept all."""
    if annotation is None or (isinstance(value, dict) and "_target_" in value):
        return None
    if value == MISSING:
        return "needs a value"
    return None if fits(value, annotation) else f"must be {describe(annotation)}"


def fits(value: Any, node: ast.expr) -> bool:
    """Whether a plain value (None, bool, int, float, str, list, dict) fits the annotation."""
    if isinstance(value, dict) and "_target_" in value:
        return True
    if isinstance(node, ast.Constant):
        return value is None if node.value is None else not isinstance(node.value, str) or fits(value, _forward(node))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return fits(value, node.left) or fits(value, node.right)
    if isinstance(node, ast.Subscript):
        return _fits_subscript(value, _name(node.value), _parameters(node))
    return _fits_simple(value, _name(node))


def words_of(node: ast.expr | None) -> list[str]:
    """The words that a Literal, alone or beside other types, lists."""
    literals = [item for item in ast.walk(node) if isinstance(item, ast.Subscript)
                and _name(item.value) == "Literal"] if node else []
    return [str(item.value) for literal in literals for item in _parameters(literal) if isinstance(item, ast.Constant)]


def describe(node: ast.expr) -> str:
    """The annotation in words."""
    if isinstance(node, ast.BinOp):
        return f"{describe(node.left)} or {describe(node.right)}"
    if isinstance(node, ast.Subscript):
        name = _name(node.value)
        if name == "Literal":
            words = [ast.unparse(item).strip(chr(39)) for item in _parameters(node)]
            return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
        if name in MAPPINGS:
            return _mapping(_parameters(node)[-1])
        inner = [describe(item) for item in _parameters(node)]
        if name == "Optional":
            return f"{inner[0]} or null"
        if name == "Union":
            return " or ".join(inner)
        return f"a {_plain_name(name)} of {', '.join(item for item in inner if item != '...')}"
    if isinstance(node, ast.Constant):
        return "null" if node.value is None else describe(_forward(node)) if isinstance(node.value, str) else "..."
    if _name(node) in MAPPINGS:
        return _mapping(None)
    words = {"int": "a whole number (int)", "float": "a number (float)", "bool": "true or false", "str": "text"}
    return words.get(_name(node), _plain_name(_name(node)))


def takes_mapping(node: ast.expr | None) -> bool:
    """Whether a mapping is asked for, and nothing else but null."""
    if isinstance(node, ast.BinOp):
        return takes_mapping(node.left) and isinstance(node.right, ast.Constant) and node.right.value is None
    return node is not None and _name(node.value if isinstance(node, ast.Subscript) else node) in MAPPINGS


def _mapping(value: ast.expr | None) -> str:
    return "a mapping" if value is None or _name(value) in ("Any", "object") else f"a mapping to {describe(value)}"


def _plain_name(name: str) -> str:
    return {"tuple": "list", "Sequence": "list", "Iterable": "list", "Path": "path"}.get(name, name)


def _fits_simple(value: Any, name: str) -> bool:
    kind = _SIMPLE.get(name)
    if kind is None:
        return True
    if kind is float:
        return is_number(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is list:
        return isinstance(value, list | tuple)
    return isinstance(value, kind)


def _fits_subscript(value: Any, name: str, parameters: list[ast.expr]) -> bool:
    if name == "Literal":
        return any(isinstance(item, ast.Constant) and value == item.value and type(value) is type(item.value)
                   for item in parameters)
    if name == "Optional":
        return value is None or fits(value, parameters[0])
    if name == "Union":
        return any(fits(value, item) for item in parameters)
    if name in MAPPINGS:
        return isinstance(value, dict) and all(fits(item, parameters[1]) for item in value.values())
    if name in ("tuple", "Tuple"):
        return isinstance(value, list | tuple) and _fits_tuple(list(value), parameters)
    if name in ("list", "Sequence", "Iterable", "List"):
        return isinstance(value, list | tuple) and all(fits(item, parameters[0]) for item in value)
    return name != "type" or isinstance(value, str)


def _fits_tuple(value: list[Any], parameters: list[ast.expr]) -> bool:
    if len(parameters) == 2 and isinstance(parameters[1], ast.Constant) and parameters[1].value is Ellipsis:
        return all(fits(item, parameters[0]) for item in value)
    return len(value) == len(parameters) and all(map(fits, value, parameters))


def _parameters(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _name(node: ast.expr) -> str:
    return ast.unparse(node).rsplit(".", 1)[-1]


def _forward(node: ast.Constant) -> ast.expr:
    """An annotation written as a string."""
    try:
        return ast.parse(str(node.value), mode="eval").body
    except SyntaxError:
        return ast.Name(id="object")
