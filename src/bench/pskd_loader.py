"""Training through the project against a bare loop on tensors: `python -m src.bench.pskd_loader [overrides]`.

The bare loop has the batches of an epoch ready, and does nothing but forward, cross-entropy, backward and the step of
the optimiser. The project's training has its loader with crop and flip, Lightning, figures and the method's memory.
Both alternate.
"""

from __future__ import annotations

from statistics import median

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer

from src.bench.building import built, overrides_given
from src.bench.timing import now
from src.core import quiet
from src.core.console import note
from src.data.images.batch import Batch
from src.methods.pskd.module import Classifier

DEFAULT = ("method=pskd", "method.measure_overhead=false", "method.loss.alpha=0")
REPEATS, EPOCHS = 5, 2


def through_the_project(overrides: list[str]) -> tuple[float, Classifier]:
    """Steps a second over whole epochs, evaluation not counted."""
    module, _ = built([*DEFAULT, f"method.epochs={EPOCHS}", *overrides])
    trainer = Trainer(accelerator="auto", devices=1, max_epochs=EPOCHS, logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, enable_model_summary=False, reload_dataloaders_every_n_epochs=1,
                      limit_val_batches=0, use_distributed_sampler=False, default_root_dir=module.run_dir)
    trainer.fit(module)
    return trainer.global_step / module.clock.seconds, module


def on_tensors(module: Classifier, batches: list[Batch]) -> float:
    """Steps a second of a bare loop over the same batches."""
    device = batches[0].images.device  # module.device is the host again
    net = module.build().to(device)
    optimizer = module.optimiser_of(net)
    start = now()
    for batch in batches * EPOCHS:
        optimizer.zero_grad()
        F.cross_entropy(net(batch.images), batch.labels).backward()
        optimizer.step()
    return len(batches) * EPOCHS / (now() - start)


def main(overrides: list[str]) -> None:
    quiet.after_import()
    _, module = through_the_project(overrides)  # warm-up, and the batches
    batches = list(module.data.train_loader(module.order, epoch=0, seed=0))
    pairs = []
    for number in range(REPEATS):
        bare = on_tensors(module, batches) if number % 2 else None
        project, _ = through_the_project(overrides)
        pairs.append((project, bare if bare is not None else on_tensors(module, batches)))
    share = [project / bare for project, bare in pairs]
    note(f"{module.model.identity()} on {batches[0].images.device}, {torch.get_num_threads()} threads, "
         f"{len(batches)} batches of {module.batch_size}: "
         f"{median(p for p, _ in pairs):.1f} steps/s through the project, "
         f"{median(b for _, b in pairs):.1f} on tensors in memory: {100 * median(share):.1f} % "
         f"({100 * min(share):.1f} to {100 * max(share):.1f})")


if __name__ == "__main__":
    main(overrides_given(__doc__))
