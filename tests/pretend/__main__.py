"""Runs of the project on the pretend device: `python -m tests.pretend <file> <options of one run> -- <of the next>`.

A training is wrapped as on several GPUs. Afterwards the file tells where the host waited in each of them, as JSON; the
exit status is the first that is not 0.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import nn
from torch.distributed.utils import _to_kwargs

from src.run import run
from tests.pretend.device import DEVICE, Factories, waits


def main() -> None:
    file, *rest = sys.argv[1:]
    CPUAccelerator.setup_device = lambda *_: None
    SingleDeviceStrategy.__init__ = _on_device(SingleDeviceStrategy.__init__)
    SingleDeviceStrategy.setup = _wrapped(SingleDeviceStrategy.setup)
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


class Wrapper(nn.Module):
    """What DDP does on GPUs with the arguments of a step: tensors go to the device, also those inside of others."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        (args,), (kwargs,) = _to_kwargs(args, kwargs, DEVICE, use_side_stream_for_tensor_copies=False)
        return self.module(*args, **kwargs)


def _wrapped(setup: Any) -> Any:
    def changed(strategy: SingleDeviceStrategy, trainer: Trainer) -> None:
        setup(strategy, trainer)
        if trainer.state.fn == "fit":
            strategy.model = Wrapper(strategy.lightning_module)

    return changed


if __name__ == "__main__":
    main()
