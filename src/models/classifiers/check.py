"""What can be said about a classifier's options before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.models.classifiers.names import SOURCES, name_problem, own_networks

FROM_DATA = ("num_classes", "in_chans")


def network_problems(model: dict[str, Any]) -> list[str]:
    """Every problem of a Network's options, one message each: value, rule, fix."""
    name, pretrained, options = model.get("name"), model.get("pretrained"), model.get("options")
    if not isinstance(name, str) or name == "???":
        return []  # the type check says so
    problems = [problem] if (problem := name_problem(name)) else []
    if pretrained is True and name in own_networks():
        problems.append(f"model.pretrained=true: nobody publishes weights of {name}. "
                        "Give false, a weights file or the export/ folder of a run.")
    if isinstance(pretrained, str) and (problem := pretrained_problem(name, pretrained)):
        problems.append(problem)
    given = [key for key in FROM_DATA if isinstance(options, dict) and key in options]
    return problems + [f"model.options.{key}={options[key]}: the data decides it. Leave it out." for key in given]


def pretrained_problem(name: str, path: str) -> str | None:
    """What is wrong with the weights' file or folder, or None."""
    place = Path(path).expanduser()
    if name.startswith(SOURCES):
        return f"model.pretrained={path}: {name} names its weights already. Give true or false."
    if not place.exists():
        return (f"model.pretrained={path}: there is no such file or folder. Give a weights file, a folder with "
                "config.json and model.safetensors, or true for timm's weights.")
    if place.is_dir() and not (place / "config.json").is_file():
        return f"model.pretrained={path}: the folder holds no config.json. Give one that an export or timm wrote."
    return None
