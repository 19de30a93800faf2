"""Everything of a run's folder that an interruption must not change."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.plain import plainly

# What depends on the clock, and on how often the run was continued.
_TIMED = ("seconds", "cost/overhead")


def outcome(folder: Path) -> dict[str, Any]:
    """Checkpoints, exported weights, rows, figures and the names of all files; times left out, but not their names."""
    found: dict[str, Any] = {"files": sorted(_name(path, folder) for path in folder.rglob("*") if path.is_file())}
    for file in sorted((folder / "checkpoints").glob("*.ckpt")):
        content = torch.load(file, weights_only=True, map_location="cpu")
        kept = {key: value for key, value in content.items() if key not in ("callbacks", "loops")}
        found[file.name] = _untimed(plainly(kept))
    for file in sorted(folder.rglob("*.safetensors")):
        found[_name(file, folder)] = plainly(load_file(file))
    with (folder / "metrics.csv").open(newline="") as stream:
        found["metrics.csv"] = [_untimed(row) for row in csv.DictReader(stream)]
    summary = json.loads((folder / "metrics.json").read_text())
    found["metrics.json"] = _untimed({key: value for key, value in summary.items() if key != "command"})
    return found


def differences(found: dict[str, Any], expected: dict[str, Any], path: str = "") -> list[str]:
    """Where two outcomes differ, one line each."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return [line for key in sorted({**found, **expected}, key=str) for line in
                differences(found.get(key, "nothing"), expected.get(key, "nothing"), f"{path}/{key}")]
    if found == expected:
        return []
    return [f"{path}: {str(found)[:200]} instead of {str(expected)[:200]}"]


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder))


def _untimed(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: "" if any(word in str(key) for word in _TIMED) else _untimed(value)
                for key, value in content.items()}
    return [_untimed(item) for item in content] if isinstance(content, list | tuple) else content
