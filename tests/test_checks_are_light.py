"""The static checks answer in the first seconds of a run: none of them imports what takes seconds itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from src.core.places import ROOT

HEAVY = ("torch", "lightning", "diffusers", "transformers", "open_clip", "timm")
RULES = [file for name in ("check", "rules") for file in sorted((ROOT / "src").rglob(f"{name}.py"))]


@pytest.mark.parametrize("file", RULES, ids=lambda file: str(file.relative_to(ROOT / "src")))
def test_imports_nothing_heavy(file: Path) -> None:
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
