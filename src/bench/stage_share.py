"""Where a stage's time goes: `python -m src.bench.stage_share [overrides]` runs some stages and prints the share spent
inside the UNet (forward and backward), the VAE, the text encoder and the reward model."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import lightning as L

from src.bench.building import built, overrides_given
from src.bench.timing import now

STAGES, WARM_UP = 8, 2


class Stopwatch(L.Callback):
    """Seconds inside wrapped calls, and seconds between the first measured stage and the last one's end."""

    def __init__(self) -> None:
        self.inside: dict[str, float] = defaultdict(float)
        self.total = 0.0

    def wrap(self, owner: Any, method: str, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = now()
            try:
                return inner(*args, **kwargs)
            finally:
                self.inside[name] += now() - start

        setattr(owner, method, timed)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.wrap(module.unet, "forward", "UNet forward")
        self.wrap(module, "manual_backward", "UNet backward")
        self.wrap(module.model.vae, "decode", "VAE")
        self.wrap(module.model.text.network, "forward", "text encoder")
        self.wrap(type(module.reward), "__call__", "reward model")

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.current_epoch == WARM_UP:
            self.inside.clear()
            self.start = now()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.total = now() - self.start if trainer.current_epoch >= WARM_UP else 0.0


def main() -> None:
    module, _ = built(overrides_given(__doc__))
    watch = Stopwatch()
    trainer = L.Trainer(max_epochs=WARM_UP + STAGES, limit_val_batches=0, logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, callbacks=[watch], devices=1)
    trainer.fit(module)
    lines = [f"{name:<15} {100 * seconds / watch.total:5.1f} %" for name, seconds in watch.inside.items()]
    share = sum(watch.inside.values()) / watch.total
    lines.append(f"{'all of them':<15} {100 * share:5.1f} % of {watch.total / STAGES:.2f} s a stage ({STAGES} stages)")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
