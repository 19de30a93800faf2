"""Small checkpoints during training: every few epochs only what is trained, to be evaluated later."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from src.core import atomic, checkpoint
from src.core.callbacks import finished_epochs
from src.core.errors import UserError
from src.core.progress import epoch_name
from src.core.states import KEPT, State


class KeepWeights(Callback):
    """``checkpoints/kept/<epoch's name>_0010.safetensors`` every few epochs: the module's state, no optimiser.

    Written before the epoch's ``last.ckpt`` (Lightning calls checkpoint callbacks last), so that a run that is killed
    and continued has lost none; an epoch trained twice writes the same file twice.
    """

    def __init__(self, *, every_n_epochs: int) -> None:
        if every_n_epochs < 1:
            raise UserError(f"callbacks.keep.every_n_epochs={every_n_epochs}", "must be at least 1",
                            "~callbacks.keep switches it off")
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        finished = trainer.current_epoch + 1
        if finished % self.every_n_epochs:
            return
        state = trainer.strategy.lightning_module_state_dict()  # on every rank: a sharded one is gathered
        if not trainer.is_global_zero:
            return
        file = Path(trainer.default_root_dir) / KEPT / f"{epoch_name(pl_module)}_{finished:04d}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        identity = dict(pl_module.identity()) if hasattr(pl_module, "identity") else {}
        about = {"identity": identity, "costs": dict(getattr(pl_module, "costs", {}))}
        with atomic.replacing(file) as draft:
            draft.touch()
            mode = draft.stat().st_mode  # safetensors would let nobody else read it
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, draft,
                      {name: json.dumps(value) for name, value in about.items()})
            draft.chmod(mode)


def about(state: State, module: LightningModule, free: Sequence[str] = ()) -> dict[str, Any]:
    """What stands in a state's file besides its tensors: epoch, and costs where they are known.

    Raises UserError if the file is damaged or of another method or model than `module`; `free` of these may differ.
    """
    if state.file is None:
        return {"epoch": 0, "costs": {}}
    if not state.is_kept:
        content = checkpoint.load(state.file)
        checkpoint.check_identity(content, module, state.file, free)
        return {"epoch": finished_epochs(content), "costs": {}}
    try:
        with safe_open(state.file, "np") as stored:
            found = {name: json.loads(value) for name, value in (stored.metadata() or {}).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(state.file, f"the weights cannot be read ({str(error).splitlines()[0]})",
                        "remove the file, or give another one") from error
    checkpoint.check_identity(found, module, state.file, free)
    return {"epoch": state.epoch, "costs": found.get("costs", {})}


def restore(state: State, module: LightningModule) -> None:
    """Load a state's weights into a module that is set up; of a checkpoint also what the method kept in it."""
    if state.file is None:
        return
    if state.is_kept:
        module.load_state_dict(load_file(state.file), strict=module.strict_loading)
        return
    content = checkpoint.load(state.file)
    module.on_load_checkpoint(content)
    module.load_state_dict(content["state_dict"], strict=module.strict_loading)
