"""What the words of the command line mean, and what is wrong with them in plain language."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from src.core.config import syntax
from src.core.config.unknown import leaves, root
from src.core.errors import describe, did_you_mean


class Words:
    """The overrides of one command line, sorted into usable and wrong ones."""

    def __init__(self, loader: ConfigLoader, primary: Path) -> None:
        config = OmegaConf.load(primary)
        self.loader = loader
        # A group without any option yet is unknown to the loader but stands in the defaults list.
        listed = {str(key) for item in config.defaults if isinstance(item, DictConfig) for key in item}
        self.groups = sorted({*loader.list_groups(""), *(name for name in listed if " " not in name),
                              "hydra/launcher", "hydra/sweeper"})
        lines = OmegaConf.to_container(config.defaults, resolve=False)
        self.needed = {*re.findall(r"\$\{(\w+)\}", str(lines)), "trainer"}  # by other lines of the list, or by a run
        self.given = {key for line in lines if isinstance(line, dict) for key in line if line[key] is not None}
        self.roots = {*self.groups, *(str(key) for key in config)}
        self.problems: list[str] = []
        self.wrong_groups: list[str] = []
        self.adrift: list[Override] = []

    def read(self, given: Sequence[str], sweep: bool = False) -> list[Override]:
        """The usable overrides; of a sweep's lists, the first value. The others are told in ``problems``."""
        kept: list[Override] = []
        words, loose = syntax.joined(given)
        self.problems += loose
        for text in words:
            item = self._parse(text, sweep)
            if item is None or not self._has_options(item):
                continue
            if item.is_add() and root(item) not in self.roots:
                self.adrift.append(item)
            elif (item := self._plain(item)) is not None:
                kept.append(item)
        return kept

    def options(self, group: str) -> list[str]:
        """Names that may follow ``group=``; those of folders within as ``folder/name``, unless the folder only holds
        the overlays of an option of its name."""
        names = self.loader.get_group_options(group, results_filter=ObjectType.CONFIG)
        folders = self.loader.get_group_options(group, results_filter=ObjectType.GROUP)
        return names + [f"{folder}/{name}" for folder in folders if folder not in names
                        for name in self.options(f"{group}/{folder}")]

    def _parse(self, text: str, sweep: bool) -> Override | None:
        try:
            item = OverridesParser.create(self.loader).parse_overrides([text])[0]
        except HydraException as error:
            rule = f"this is not a valid key=value ({str(error).splitlines()[0]})"
            self.problems.append(describe(text, rule, syntax.fix(text)))
            return None
        if not item.is_sweep_override() or item.key_or_group.startswith("hydra."):
            return item
        if not sweep:
            self.problems.append(describe(text, "several values need a sweep", syntax.several(text)))
            return None
        return self._first_of(item)

    def _first_of(self, item: Override) -> Override | None:
        """The first run of a sweep stands for all; wrong options are found in every one."""
        if not item.is_discrete_sweep():
            return None
        texts = [f"{item.get_key_element()}={value}" for value in item.sweep_string_iterator()]
        items = [OverridesParser.create().parse_override(text) for text in texts]
        fine = [one for one in items if self._has_options(one)]
        return fine[0] if fine and len(fine) == len(items) else None

    def _has_options(self, item: Override) -> bool:
        """Whether each option the override picks exists in its group."""
        group, value = item.key_or_group, item.value()
        if group not in self.groups:
            return True
        if item.is_delete() or value is None:
            return self._may_be_left_out(item)
        if isinstance(value, dict):
            each = " ".join(f"{name}={part}" for name, part in leaves(value, group).items())
            self.problems.append(describe(item.input_line, f"{group}= picks an option by its name", f"write {each}"))
            return False
        known = self.options(group)
        wrong = [name for name in (value if isinstance(value, list) else [value]) if str(name) not in known]
        self.problems += [describe(f"{group}={name}", f"there is no such {group}", did_you_mean(str(name), known))
                          for name in wrong]
        self.wrong_groups += [group] * len(wrong)
        return not wrong

    def _may_be_left_out(self, item: Override) -> bool:
        group, options = item.key_or_group, self.options(item.key_or_group)
        by_null = group not in self.given or "none" in options
        if group not in self.needed if item.is_delete() else by_null:
            return True
        nothing = f"{group}=null" if by_null else None if group in self.needed else f"~{group}"
        fix = f"write {nothing} for none of it" if nothing else f"choose one: {group}={'|'.join(options)}"
        self.problems.append(describe(item.input_line, f"{group} cannot be left out like this", fix))
        self.wrong_groups.append(group)
        return False

    def _plain(self, item: Override) -> Override | None:
        """``group=null`` means the group's ``none`` option; groups without one are null already."""
        if item.key_or_group not in self.groups or item.is_delete() or item.value() is not None:
            return item
        if "none" not in self.options(item.key_or_group):
            return None
        return OverridesParser.create().parse_override(f"{item.key_or_group}=none")


def culprits(items: Sequence[Override], message: str) -> list[Override]:
    """The overrides that Hydra's message complains about."""
    if mixed := re.match(r"Error merging override (.*)", message):
        return [item for item in items if mixed.group(1) == item.input_line]
    found = re.search(r"Could not (?:override|append to|delete)[^']*'([^']+)'", message)
    if not found:
        return []
    return [item for item in items if found.group(1) in (item.key_or_group, item.get_key_element().lstrip("+~"))]
