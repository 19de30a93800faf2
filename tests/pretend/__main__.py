"""Runs of the project on the pretend device: `python -m tests.pretend <file> <options of one run> -- <of the next>`.

Afterwards the file tells where the host waited in each of them, as JSON; the exit status is the first that is not 0.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy

from src.run import run
from tests.pretend.device import DEVICE, Factories, waits


def main() -> None:
    file, *rest = sys.argv[1:]
    CPUAccelerator.setup_device = lambda *_: None
    SingleDeviceStrategy.__init__ = _on_device(SingleDeviceStrategy.__init__)
    codes, seen = [], []
    with Factories():
        for parted, options in groupby(rest, "--".__eq__):
            if not parted:
                waits.clear()
                codes.append(run(list(options)))
                seen.append(dict(waits))
    Path(file).write_text(json.dumps(seen))
    sys.exit(next(filter(None, codes), 0))


def _on_device(made: Any) -> Any:
    return lambda self, device="cpu", **options: made(self, device=str(DEVICE), **options)


if __name__ == "__main__":
    main()
