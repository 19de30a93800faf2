"""Pictures for whatever dashboard is switched on; methods never import one."""

from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer
from PIL import Image


def log_image(trainer: Trainer | None, key: str, image: Path | str | Image.Image, step: int | None = None) -> None:
    """Send one picture to every logger that takes pictures (wandb, tensorboard); no-op for the others.

    ``step`` is its place on the x-axis; None means where ``self.log`` would put a figure now. Only rank 0 sends.
    """
    if trainer is None or not trainer.is_global_zero:
        return
    if step is None:
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
    for logger in trainer.loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(key, [_opened(image)], step=step)
        elif hasattr(experiment := getattr(logger, "experiment", None), "add_image"):
            experiment.add_image(key, np.asarray(_opened(image).convert("RGB")), step, dataformats="HWC")


def _opened(image: Path | str | Image.Image) -> Image.Image:
    return image if isinstance(image, Image.Image) else Image.open(image)
