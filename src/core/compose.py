"""Compose one run's configuration with Hydra, and say in plain words what is wrong with the command line."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.core.errors import Problems, UserError, describe, did_you_mean

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


class SecondRoot(SearchPathPlugin):
    """Adds ``experiments/`` (and what ``--config-dir`` names) as config roots; unlike ``hydra.searchpath``,
    their options then also show up in listings and ``glob(*)``."""

    roots: ClassVar[list[Path]] = [ROOT / "experiments"]

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for root in self.roots:
            search_path.append("house", f"file://{root}")


@dataclass(frozen=True)
class Composed:
    """A composed run: the configuration (without Hydra's own node), the option chosen in each group, Hydra's node."""

    cfg: DictConfig
    choices: dict[str, str | None]
    hydra: DictConfig
    overrides: list[str]


@contextmanager
def config_roots(extra: Sequence[Path] = ()) -> Iterator[ConfigLoader]:
    """Hydra initialised on ``conf/``, ``experiments/`` and ``extra``; yields the loader that knows the options."""
    Plugins.instance().register(SecondRoot)
    before = list(SecondRoot.roots)
    SecondRoot.roots = before + [Path(root).resolve() for root in extra]
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="run"):
            yield GlobalHydra.instance().config_loader()
    finally:
        SecondRoot.roots = before


def options(loader: ConfigLoader, group: str) -> list[str]:
    """Names that may follow ``group=``."""
    return loader.get_group_options(group, results_filter=ObjectType.CONFIG)


def compose(overrides: Sequence[str], extra: Sequence[Path] = ()) -> Composed:
    """Compose ``conf/config.yaml`` with the overrides.

    Raises ``Problems`` with one line per wrong override: unknown group option, unknown key, bad syntax.
    """
    with config_roots(extra) as loader:
        groups = loader.list_groups("")
        problems: list[str] = []
        parsed = [item for text in overrides if (item := parse(text, problems)) is not None]
        good = [item for item in parsed if not wrong_option(item, groups, loader, problems)]
        adrift = [item for item in good if item.is_add() and _root(item) not in {*groups, *_top_level_keys()}]
        good = _without_null_groups([item for item in good if item not in adrift], groups, loader)
        cfg, unknown = _compose_known(good, problems)
        problems += [describe_unknown(item, groups, cfg) for item in unknown + adrift]
    if problems or cfg is None:
        raise Problems(problems)
    with open_dict(cfg):
        hydra = cfg.pop("hydra")
    return Composed(cfg, dict(hydra.runtime.choices), hydra, [item.input_line for item in parsed])


def parse(text: str, problems: list[str]) -> Override | None:
    """One parsed override, or None and a line in ``problems``."""
    try:
        item = OverridesParser.create().parse_override(text)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        problems.append(describe(text, f"this is not a valid key=value ({reason})", "quote lists: 'key=[a,b]'"))
        return None
    if item.is_sweep_override() and not item.key_or_group.startswith("hydra."):
        problems.append(describe(text, "several values need a sweep", "add -m, or quote it as a list: 'key=[a,b]'"))
        return None
    return item


def wrong_option(item: Override, groups: list[str], loader: ConfigLoader, problems: list[str]) -> bool:
    """Whether the override picks an option its group does not have; adds the line that says so."""
    group, value = item.key_or_group, item.value()
    if group not in groups or item.is_delete() or value is None:
        return False
    known = options(loader, group)
    wrong = [name for name in (value if isinstance(value, list) else [value]) if str(name) not in known]
    problems += [describe(f"{group}={name}", f"there is no such {group}", did_you_mean(str(name), known))
                 for name in wrong]
    return bool(wrong)


def describe_unknown(item: Override, groups: list[str], cfg: DictConfig | None) -> str:
    """The line for a key that the configuration does not have."""
    plain = {} if cfg is None else {key: value for key, value in cfg.items_ex(resolve=False) if key != "hydra"}
    known = {*flatten(OmegaConf.create(plain)), *groups}
    key = item.key_or_group
    if key in known:
        return describe(item.input_line, f"+ adds a new key, and {key} exists", f"write {item.input_line.lstrip('+')}")
    same_leaf = [name for name in sorted(known) if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    parent = key.rsplit(".", 1)[0] + "."
    siblings = [name for name in known if name.startswith(parent) and "." not in name[len(parent):]]
    if _root(item) not in {*plain, *groups}:
        key_fix = f"did you mean {' or '.join(same_leaf[:3])}?" if same_leaf and "." not in key else ""
        fix = key_fix or did_you_mean(_root(item), {*plain, *groups}, show_all=40)
    elif same_leaf:
        fix = f"did you mean {' or '.join(same_leaf[:3])}?"
    elif "." in key and siblings:
        fix = did_you_mean(key, siblings)
    else:
        fix = did_you_mean(key, known, show_all=0)
    return describe(item.input_line or key, f"there is no key {key}", fix)


def flatten(node: Any, prefix: str = "") -> list[str]:
    """Dotted names of every key below ``node``; interpolations are not followed."""
    names: list[str] = []
    for key in node if isinstance(node, DictConfig) and not node._is_none() else ():
        name = f"{prefix}{key}"
        names.append(name)
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_interpolation():
            names += flatten(child, f"{name}.")
    return names


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers with every interpolation resolved."""
    try:
        return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", "") or "configuration"
        raise UserError(key, str(error).splitlines()[0], "check the name inside ${...}") from error


def _compose_known(items: list[Override], problems: list[str]) -> tuple[DictConfig | None, list[Override]]:
    """Compose; overrides of unknown keys are put aside until the rest composes."""
    unknown: list[Override] = []
    while True:
        try:
            cfg = hydra_compose("config", [item.input_line for item in items], return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            return cfg, unknown
        except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
            culprits = _culprits(items, str(error))
            if not culprits:
                problems.append(describe("configuration", " ".join(str(error).split())))
                return None, unknown
            unknown += culprits
            items = [item for item in items if item not in culprits]


def _root(item: Override) -> str:
    return item.key_or_group.split(".")[0].split("@")[0].split("/")[0]


def _top_level_keys() -> set[str]:
    return {str(key) for key in OmegaConf.load(CONF / "config.yaml")}


def _culprits(items: list[Override], message: str) -> list[Override]:
    found = re.search(r"Could not (?:override|append to|delete)(?: from config\.| config\.)? ?.*?'([^']+)'", message)
    if not found:
        return []
    return [item for item in items if found.group(1) in (item.key_or_group, item.get_key_element().lstrip("+~"))]



def _without_null_groups(items: list[Override], groups: list[str], loader: ConfigLoader) -> list[Override]:
    """``group=null`` means the group's ``none`` option; groups without one are null already."""
    kept: list[Override] = []
    for item in items:
        if item.key_or_group in groups and not item.is_delete() and item.value() is None:
            if "none" in options(loader, item.key_or_group):
                kept.append(OverridesParser.create().parse_override(f"{item.key_or_group}=none"))
        else:
            kept.append(item)
    return kept
