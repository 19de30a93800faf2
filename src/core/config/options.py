"""The resolver `${options:<group>,<names>}`: several options of one config group, by name."""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from src.core.places import CONF


def register() -> None:
    """Make the resolver known to OmegaConf; once or often."""
    OmegaConf.register_new_resolver("options", options, replace=True)


def options(group: str, names: Any, others: ListConfig | None = None, *, _parent_: Any = None) -> DictConfig:
    """conf/<group>/<name>.yaml for each key of `names`; a key's mapping is laid over its file, but for the keys
    `others`, which mean something else. Names without a file are left out: the group's own check tells."""
    found: dict[str, Any] = {}
    for name, given in names.items() if isinstance(names, DictConfig) else ():
        file = CONF / group / f"{name}.yaml"
        if not file.is_file():
            continue
        over = {key: value for key, value in given.items() if key not in (others or ())} \
            if isinstance(given, DictConfig) else {}
        found[name] = {**OmegaConf.to_container(OmegaConf.load(file), resolve=False), **over}
    return OmegaConf.create(found, parent=_parent_)  # so that their own ${...} are resolved
