"""One rank of two, of which the second runs out of memory: what each of them is told, in `<rank>.txt`."""

from __future__ import annotations

from pathlib import Path

import torch

from src.core.errors import UserError
from src.core.processes import ranks
from src.core.processes.sharding import ShardedStrategy
from tests.methods.b2diffurl.conftest import built, trainer_for


def main(sd: str, folder: str, case: str) -> None:
    module = built(Path(sd), Path(folder), lora_rank=0 if case == "shared" else 4)
    trainer = trainer_for(module, devices=2, strategy=ShardedStrategy() if case == "shared" else "ddp")
    load = module.load

    def loaded(device: torch.device) -> None:
        load(device)
        if ranks.number() and case == "shared":
            module.unet.forward = full

    module.load = loaded
    try:
        if case == "shared":
            trainer.test(module, verbose=False)
        else:
            trainer.strategy.setup_environment()
            module._own_kl = full if ranks.number() else lambda *_: [torch.ones(1)]
            with ranks.together():
                module.assist() if ranks.number() else module.kl_to_base(torch.zeros(1, dtype=torch.long), 1)
    except UserError as error:
        Path(folder, f"{ranks.number()}.txt").write_text(f"{error.shared} {error.alone} {error}")
        if error.alone:
            raise


def full(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")
