"""The devices of this machine, as PyTorch sees them."""

from typing import Any

import torch
from lightning.pytorch import Trainer

from src.core.config import trainer_rules
from src.core.errors import Problems, UserError
from src.core.processes import rendezvous, tasks


def refuse_missing(trainer: dict[str, Any]) -> None:
    """A UserError if the devices that are asked for are not there; before anything is loaded or written."""
    accelerator, wanted = trainer.get("accelerator"), trainer_rules.count(trainer.get("devices"))
    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    seen["gpu"] = any(seen.values())
    if not seen.get(accelerator, True):
        raise UserError(f"trainer.accelerator={accelerator}", "PyTorch sees no such device on this machine",
                        "use trainer=cpu; `make doctor` says what is there")
    if accelerator == "auto" and not seen["gpu"] and (found := trainer_rules.on_cpu(trainer)):
        raise Problems(found)
    gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") and seen["cuda"] else None
    if gpus and wanted and wanted > gpus and not rendezvous.is_needed():
        raise UserError(f"trainer.devices={wanted}", f"PyTorch sees {gpus} on this machine",
                        f"use trainer.devices={gpus} or less; auto takes all")
    if gpus and trainer_rules.on_a_node(trainer) is None:
        tasks.check_devices({**trainer, "devices": gpus})


def name(trainer: Trainer) -> str:
    """``cpu (2 threads)``, or how many of which GPU."""
    device = trainer.strategy.root_device
    if device.type != "cuda":
        return f"{device.type} ({torch.get_num_threads()} threads)"
    return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}, {trainer.precision}"
