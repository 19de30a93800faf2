"""The resolver `${options:<group>,<names>}`: several options of one config group, by name."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from src.core.places import CONF


def register(roots: Sequence[Path] = ()) -> None:
    """Make the resolver known to OmegaConf; once or often. It looks in conf/ and then in ``roots``."""
    OmegaConf.register_new_resolver("options", functools.partial(options, (CONF, *roots)), replace=True)


def options(roots: Sequence[Path], group: str, names: Any, others: ListConfig | None = None, own: str | None = None, *,
            _parent_: Any = None) -> DictConfig:
    """<group>/<name>.yaml for each key of `names`; a key's mapping is laid over its file, but for the keys `others`,
    which mean something else. A name without a file whose mapping has a `target` takes the file of `own`, with that
    name; other names without a file are left out: the group's own check tells."""
    found: dict[str, Any] = {}
    for name, given in names.items() if isinstance(names, DictConfig) else ():
        over = {key: value for key, value in given.items() if key not in (others or ())} \
            if isinstance(given, DictConfig) else {}
        file = _file(roots, group, name)
        if file is None and own and "target" in over:
            file, over = _file(roots, group, own), {"name": name, **over}
        if file is not None:
            found[name] = {**_read(roots, group, file), **over}
    return OmegaConf.create(found, parent=_parent_)  # so that their own ${...} are resolved


def _file(roots: Sequence[Path], group: str, name: Any) -> Path | None:
    return next((file for root in roots if (file := root / group / f"{name}.yaml").is_file()), None)


def _read(roots: Sequence[Path], group: str, file: Path) -> dict[str, Any]:
    """A file's keys over those of the options of its group that its defaults list names."""
    content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    for base in content.pop("defaults", ()):
        if isinstance(base, str) and (below := _file(roots, group, base)) is not None:
            content = {**_read(roots, group, below), **content}
    return content
