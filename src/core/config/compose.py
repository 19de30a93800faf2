"""Compose one run's configuration with Hydra."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.core.config import options
from src.core.config import overrides as command_line_overrides
from src.core.config import unknown as unknown_keys
from src.core.errors import Problems, UserError, describe
from src.core.places import CONF, ROOT

DECISIVE = ("method", "experiment", "sweep", "debug")  # with a wrong one of these, nothing else can be judged


class SecondRoot(SearchPathPlugin):
    """Adds ``experiments/`` (and what ``--config-dir`` names) as config roots; unlike ``hydra.searchpath``,
    their options then also show up in listings and ``glob(*)``."""

    roots: ClassVar[list[Path]] = [ROOT / "experiments"]

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for root in self.roots:
            search_path.append("house", f"file://{root}")


@dataclass(frozen=True)
class Composed:
    """A composed run: the configuration (without Hydra's own node), the option chosen in each group, Hydra's node.

    ``problems``: overrides that were left out because they are wrong, one line each.
    """

    cfg: DictConfig
    choices: dict[str, str | None]
    hydra: DictConfig
    problems: list[str] = field(default_factory=list)


@contextmanager
def config_roots(extra: Sequence[Path] = ()) -> Iterator[ConfigLoader]:
    """Hydra initialised on ``conf/``, ``experiments/`` and ``extra``; yields the loader that knows the options."""
    Plugins.instance().register(SecondRoot)
    _replace_basic()
    before = list(SecondRoot.roots)
    SecondRoot.roots = before + [Path(root).resolve() for root in extra]
    options.register(SecondRoot.roots)
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="run"):
            yield GlobalHydra.instance().config_loader()
    finally:
        SecondRoot.roots = before


def compose(given: Sequence[str], extra: Sequence[Path] = (), sweep: bool = False) -> Composed:
    """Compose ``conf/config.yaml`` with the overrides; of a sweep, its first run.

    Wrong overrides (unknown option or key, bad syntax) are left out and told in ``problems``, so that the rest can be
    checked too. Raises ``Problems`` where nothing is left to check.
    """
    with config_roots(extra) as loader:
        words = command_line_overrides.Words(loader, CONF / "config.yaml")
        items = words.read(given, sweep)
        if any(group in DECISIVE for group in words.wrong_groups):
            raise Problems(words.problems)
        cfg, unknown = _compose_known(items, words)
        words.problems += [unknown_keys.problem(item, cfg, words.groups) for item in [*unknown, *words.adrift]]
    if cfg is None:
        raise Problems(words.problems)
    with open_dict(cfg):
        hydra = cfg.pop("hydra")
    return Composed(cfg, dict(hydra.runtime.choices), hydra, words.problems)


def _replace_basic() -> None:
    """What a sweep gets where nothing is chosen; an override in config.yaml would win over one in a sweep's file."""
    for group, name in (("hydra/sweeper", "grid"), ("hydra/launcher", "local")):
        ConfigStore.instance().store(group=group, name="basic", node={"defaults": [name]}, provider="house")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers with every interpolation resolved."""
    try:
        return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", "") or "configuration"
        raise UserError(key, str(error).splitlines()[0], "check the name inside ${...}") from error


def _compose_known(
    items: list[Override], words: command_line_overrides.Words
) -> tuple[DictConfig | None, list[Override]]:
    """Compose; overrides of unknown keys are put aside until the rest composes."""
    unknown: list[Override] = []
    while True:
        try:
            cfg = hydra_compose("config", [item.input_line for item in items], return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            return cfg, unknown
        except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
            culprits = command_line_overrides.culprits(items, str(error))
            if not culprits:
                words.problems.append(describe("configuration", " ".join(str(error).split())))
                return None, unknown
            unknown += culprits
            items = [item for item in items if item not in culprits]
