"""Lightning glue of what outlives the process: checkpoints, the exported network, and what is said about the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.core import console, results
from src.core.errors import UserError
from src.methods.pskd.optimiser import NAMES
from src.methods.pskd.resuming import same_averages, same_optimiser, same_steps


class Keeping:
    """The part of the method that is read by the next process, or by people."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["classifier"] = {"loss": self.loss.state_dict(), "clock": self.clock.state_dict(),
                                    "classes": list(self.data.classes), "optimizer": self.optimizer}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["classifier"]
        if state["classes"] != list(self.data.classes):
            raise UserError(f"data={self.data.name}", f"the checkpoint's {len(state['classes'])} classes are not this "
                            f"data's {len(self.data.classes)}", "use the data and labels it was trained with")
        same_averages(self.ema_decay, checkpoint)
        if self.trainer.state.fn == "fit":
            if (then := state.get("optimizer", "sgd")) != self.optimizer:  # the first checkpoints named none
                raise UserError(f"method.optimizer={self.optimizer}", f"the checkpoint's moments are those of {then}",
                                f"resume with method.optimizer={then}, or start afresh")
            if "optimizer" not in state and self.trainer.world_size > 1:
                console.warn(f"method.batch_size={self.batch_size} is the total of all devices; in the checkpoint's "
                             "run it was each device's. To go on as before, resume with "
                             f"{self.trainer.world_size} times the size that the run began with")
            same_optimiser(vars(self), checkpoint)
            same_steps(self.batch_size, self.steps_an_epoch, checkpoint)
            self.clock.load_state_dict(state["clock"])
            self._pending = state["loss"]

    def restore_loss(self) -> None:
        """What the checkpoint knows of the loss, if the run goes on from one."""
        if (state := self.__dict__.pop("_pending", None)) is not None:
            self.loss.load_state_dict(state)

    def on_fit_end(self) -> None:
        self.loss.close()

    def export(self, folder: Path) -> None:
        """config.json and model.safetensors as timm reads them, with a model card."""
        self.model.export(folder, self.deployed, classes=list(self.data.classes), mean=self.data.mean,
                          std=self.data.std, size=self.data.size, scaled_to=self.data.scaled_to,
                          method=self.loss.describe(), data=self.data.describe(),
                          command=str(results.read(self.run_dir).get("command") or ""), figures=self.figures)

    def banner(self) -> list[tuple[str, str]]:
        return [("model", self.model.identity()), ("data", self.data.describe()), ("loss", self.loss.describe()),
                ("the run", f"{self.epochs} epochs, {self._batch()}, {NAMES[self.optimizer]} {self.lr} "
                            f"({self.lr_schedule}), weight decay {self.weight_decay}" + self._extras())]

    def _batch(self) -> str:
        devices = self.trainer.world_size
        each, rest = divmod(self.batch_size, devices)
        share = f" ({each} on each of {devices} devices)" if devices > 1 and not rest else ""
        return f"{self.batch_size} pictures a batch{share}"

    def _extras(self) -> str:
        mixing = f", {self.mixing} with probability {self.mixing_probability}" if self.mixing != "none" else ""
        return mixing + (f", averaged weights ({self.ema_decay})" if self.ema_decay else "") + (
            ", compiled" if self.wants_compile else "")

    def identity(self) -> dict[str, str | int]:
        return {"method": type(self.loss).__name__.lower(), "model": self.model.identity(), "data": self.data.name}
