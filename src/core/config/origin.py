"""Where a configuration's values come from, so that a message names what was typed and says what can be."""

import re
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.core.config.compose import Composed, compose
from src.core.config.words import key
from src.core.errors import UserError
from src.core.places import CONF, ROOT


class Origin:
    """Of one composed command line."""

    def __init__(self, composed: Composed, given: Sequence[str], roots: Sequence[Path] = ()) -> None:
        self._composed, self._given, self._roots = composed, given, roots

    def source(self, path: str) -> str:
        """The key that a value is taken from as it is (``${method.stages}``), or its own."""
        parent, _, name = path.rpartition(".")
        try:
            node = OmegaConf.select(self._composed.cfg, parent) if parent else self._composed.cfg
            child = node._get_node(name) if isinstance(node, DictConfig) else None
        except OmegaConfBaseException:
            return path
        whole = re.fullmatch(r"\$\{([\w.]+)\}", str(child._value())) if child is not None else None
        return self.source(whole[1]) if whole else path

    def example(self, path: str) -> str:
        """How to give a value that has to be given, with the comment that its file has on it."""
        group, _, name = path.partition(".")
        for root in (CONF, ROOT / "experiments", *self._roots):
            file = root / group / f"{self._composed.choices.get(group)}.yaml"
            comment = re.search(rf"^{name}:\s*\?\?\?\s+#\s*(.+)$", file.read_text(), re.M) if file.is_file() else None
            if comment:
                return f"add {path}=<{comment[1].strip()}>"
        return f"add {path}=..."

    def keys(self, path: str) -> str:
        """How to set a key of a mapping that was replaced as a whole by something else."""
        try:
            usual = compose([text for text in self._given if key(text) != path], self._roots).cfg
            mapping = OmegaConf.select(usual, path)
        except (UserError, OmegaConfBaseException):
            mapping = None
        if not isinstance(mapping, DictConfig) or not mapping:
            return f"write '{path}={{name: value}}'"
        names = [str(name) for name in mapping]
        example = next((name for name in names if isinstance(mapping[name], int)), names[0])
        return f"its keys are {', '.join(names)}; write {path}.{example}={mapping[example]}"
