"""Which networks there are, read off the sources of timm, of this folder and of files of one's own, without importing
any of them."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

from src.core.errors import nearest

HERE = Path(__file__).parent
SOURCES = ("hf-hub:", "local-dir:")  # timm's prefixes of names that are not in its list
_REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


@cache
def own_networks() -> dict[str, Path]:
    """Name to file of the networks in this folder."""
    return {name: file for file in sorted(HERE.glob("*.py")) for name in _REGISTERED.findall(file.read_text("utf-8"))}


def parted(name: str) -> tuple[Path | None, str]:
    """The file and the name in `my_nets.py:my_net`, a network of one's own; no file for timm's and this folder's."""
    file, _, network = name.rpartition(":")
    return (Path(file).expanduser(), network) if file.endswith(".py") else (None, name)


@cache
def timm_source() -> str:
    """The text of all of timm's network files; empty if timm is not installed."""
    package = importlib.util.find_spec("timm")
    folders = (package.submodule_search_locations if package else None) or []
    return "\n".join(file.read_text("utf-8") for folder in folders for file in sorted(Path(folder).glob("models/*.py")))


def known_names() -> list[str]:
    """Every registered name, without tags."""
    return sorted({*own_networks(), *_REGISTERED.findall(timm_source())})


def name_problem(name: str) -> str | None:
    """What is wrong with `model.name`, or None.

    Of tags and timm's prefixed names only so much is looked at as lies here.
    """
    if name.startswith(SOURCES):
        folder = name.removeprefix("local-dir:")
        if folder != name and not (Path(folder) / "config.json").is_file():
            return f"model.name={name}: {folder} holds no config.json. Give a folder that an export or timm wrote."
        return None
    file, network = parted(name)
    if file is not None:
        return _file_problem(name, file, network)
    if not timm_source():
        return f"model.name={name}: timm is not installed. Install this project's requirements."
    bare = name.partition(".")[0]
    if bare in known_names() or f"'{bare}'" in timm_source():  # timm's old names still work; they stand in tables
        return None
    return f"model.name={name}: neither this project nor timm has such a network. {_suggestion(bare)}"


def _file_problem(name: str, file: Path, network: str) -> str | None:
    if not file.is_file():
        return f"model.name={name}: there is no file {file}. Give its path, a colon and the network's name in it."
    there = _REGISTERED.findall(file.read_text("utf-8"))
    if network in there:
        return None
    found = f"it registers {', '.join(there)}" if there else "write @register_model above the function"
    return f"model.name={name}: {file} has no network {network}; {found}. src/README.md has an example."


def _suggestion(name: str) -> str:
    near = [match for match in (nearest(name, own_networks()), nearest(name, known_names())) if match]
    near = list(dict.fromkeys(near))
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"This project's are {', '.join(own_networks())}; timm.list_models() lists the others."
