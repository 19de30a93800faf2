"""The static check of conf/data must answer in the first seconds of a run."""

from __future__ import annotations

import subprocess
import sys


def test_imports_nothing_heavy() -> None:
    code = "import sys, src.data.check; sys.exit('torch' in sys.modules or 'hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
