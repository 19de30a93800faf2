"""Trains until the first optimiser step is done, and stops: `python -m src.bench.first_step [overrides]`.

The same composition, check, weights, data and Lightning as `python -m src.run`, without evaluation and run folder;
start it with a stopwatch beside it.
"""

from __future__ import annotations

import lightning as L

from src.bench.building import built, overrides_given
from src.core import quiet

SMALL_STAGE = {"b2diffurl": ["method.prompts_per_stage=2", "method.samples_per_update=12"]}


class OneStep(L.Callback):
    """Ends the training after its first batch."""

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        trainer.should_stop = True


def main(overrides: list[str]) -> None:
    quiet.after_import()
    chosen = next((value for key, _, value in (text.partition("=") for text in overrides) if key == "method"), "")
    module, _ = built([*overrides, *SMALL_STAGE.get(chosen, [])])
    trainer = L.Trainer(max_epochs=1, max_steps=1, limit_val_batches=0, logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False, callbacks=[OneStep()], devices=1,
                        use_distributed_sampler=False, default_root_dir=module.run_dir)
    trainer.fit(module)


if __name__ == "__main__":
    main(overrides_given(__doc__))
