"""Keys that the configuration does not have, and which were meant."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from src.core.errors import describe, did_you_mean


def problem(item: Override, cfg: DictConfig | None, groups: Sequence[str]) -> str:
    """The line for a key that the configuration does not have."""
    nodes = {} if cfg is None else {key: value for key, value in cfg.items_ex(resolve=False)
                                    if key != "hydra" or root(item) == "hydra"}
    known = {*flatten(OmegaConf.create(nodes)), *groups}
    key, text = item.key_or_group, item.input_line
    if key in known and isinstance(item.value(), dict):
        # Hydra complains of a mapping as a whole, where one of its keys is wrong.
        key = next((name for name in leaves(item.value(), key) if name not in known), key)
    elif key in known and item.is_add():
        return describe(text, f"+ adds a new key, and {key} exists", f"write {text.lstrip('+')}")
    elif key in known:
        return describe(text, f"{key} takes another kind of value", _kind(key, OmegaConf.select(cfg, key)))
    return describe(text, f"there is no key {key}", _nearest_key(key, root(item), known, {*nodes}, groups))


def _nearest_key(key: str, first: str, known: set[str], top: set[str], groups: Sequence[str]) -> str:
    same_leaf = [name for name in sorted(known) if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    if same_leaf and ("." not in key or first in top):
        return f"did you mean {' or '.join(same_leaf[:3])}?"
    if first not in {*top, *groups}:
        return did_you_mean(first, {*top, *groups}, show_all=40)
    parent = key.rsplit(".", 1)[0] + "."
    siblings = [name for name in known if name.startswith(parent) and "." not in name[len(parent):]]
    return did_you_mean(key, siblings) if siblings else did_you_mean(key, known, show_all=0)


def root(item: Override) -> str:
    """The first part of a key: ``method`` of ``method.lr`` and of ``method/part``."""
    return re.split(r"[.@/]", item.key_or_group)[0]


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """All single values that `name=value` sets, or that a configuration has, by dotted name."""
    if not isinstance(value, dict) or not value:
        return {name: value}
    return {leaf: part for key, inner in value.items()
            for leaf, part in leaves(inner, f"{name}.{key}" if name else str(key)).items()}


def _kind(key: str, now: Any) -> str:
    """How a key is set, by the value that it has."""
    names = [str(name) for name in now if name != "_target_"] if isinstance(now, DictConfig) else []
    if not names:
        return f"it is now {key}={now}"
    return f"write {key}.{names[0]}=... or '{key}={{{names[0]}: ...}}'; its keys are {', '.join(names)}"


def flatten(node: DictConfig) -> list[str]:
    """Dotted names of every key below ``node``; interpolations are not followed."""
    return list(_names(OmegaConf.to_container(node, resolve=False)))


def _names(node: Any, prefix: str = "") -> Iterator[str]:
    for key, child in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from _names(child, f"{prefix}{key}.")
