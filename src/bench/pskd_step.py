"""What each loss and memory costs over plain cross-entropy: `python -m src.bench.pskd_step [overrides]`.

Steps (forward, loss, backward) of PreAct ResNet-18 on 128 pictures of 32 x 32, with a memory of CIFAR-100's size, in
pairs with cross-entropy's in one run; the median, the quartiles, and what the memory takes.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from src.bench.building import built, overrides_given
from src.bench.timing import device, quartiles
from src.core.console import note
from src.data.images.batch import Batch
from src.data.images.order import epoch_order
from src.methods.pskd.losses.base import Loss
from src.methods.pskd.losses.crossentropy import CrossEntropy, ScaledCrossEntropy
from src.methods.pskd.losses.cskd import CSKD
from src.methods.pskd.losses.pskd import PSKD
from src.methods.pskd.losses.tfkd import TFKD
from src.methods.pskd.memory.memmap import MemmapMemory
from src.methods.pskd.overhead import ratios
from src.methods.pskd.step import Context

SAMPLES, CLASSES, SIDE, PAIRS = 50_000, 100, 32, 21
DEFAULT = ("method=pskd", "model=preact_resnet18")


def losses() -> dict[str, Loss]:
    """Everything that is measured, by the name it gets in the table; the first one tells how noisy the machine is."""
    memories = ("table", "sharded", "memmap", "topk", "snapshot")
    return {"crossentropy (itself)": CrossEntropy(),
            **{f"pskd, {memory}": PSKD(alpha=0.8, memory=memory) for memory in memories},
            "label_smoothing": CrossEntropy(smoothing=0.1), "crossentropy_scaled": ScaledCrossEntropy(alpha=0.8),
            "tfkd": TFKD(), "cskd": CSKD()}


def problem(overrides: list[str]) -> tuple[Context, Batch]:
    """The network and one batch of random pictures out of a CIFAR-100-sized set, on the GPU if there is one."""
    module, _ = built([*DEFAULT, *overrides])
    where = device()

    def build() -> torch.nn.Module:
        return module.model.build(CLASSES, 3, SIDE).to(where)

    labels = torch.randint(CLASSES, (SAMPLES,))
    every = torch.arange(SAMPLES)

    def order_of(epoch: int, rank: int):
        return epoch_order(every, labels=labels, batch_size=module.batch_size, seed=0, epoch=epoch)

    rows = order_of(0, 0).rows(0)
    images = torch.randn(len(rows), 3, SIDE, SIDE, device=where).contiguous(memory_format=torch.channels_last)
    context = Context(labels=labels, candidates=every, classes=CLASSES, epochs=300, device=where,
                      folder=module.run_dir, fingerprint="", network=build(), build=build, order_of=order_of)
    return context, Batch(images, labels[rows].to(where), rows.to(where))


def taken(loss: Loss) -> str:
    """What the memory takes on the device, or where else it is."""
    memory = getattr(loss, "memory", None)
    if memory is None:
        return "-"
    tensors = [item for item in vars(memory).values() if isinstance(item, torch.Tensor) and item.ndim > 1]
    weights = sum(item.nbytes for item in memory.teacher.parameters()) if hasattr(memory, "teacher") else 0
    place = " and files of 10 MB" if isinstance(memory, MemmapMemory) else ""
    return f"{(sum(item.nbytes for item in tensors) + weights) / 1e6:.1f} MB{place}"


def main(overrides: list[str]) -> None:
    context, batch = problem(overrides)
    count = sum(item.numel() for item in context.network.parameters()) / 1e6
    note(f"{count:.2f} M parameters, {len(batch.labels)} pictures a step, {SAMPLES:,} x {CLASSES} rows, "
         f"{context.device}, {torch.get_num_threads()} threads, {PAIRS} pairs")
    note("| loss | overhead over cross-entropy, median (quartiles) | memory |\n|---|---|---|")
    for name, loss in losses().items():
        found = ratios(loss, replace(context), batch, PAIRS, seconds=float("inf"))
        low, middle, high = (100 * (value - 1) for value in quartiles(found))
        note(f"| {name} | {middle:+.2f} % ({low:+.2f} to {high:+.2f}) | {taken(loss)} |")


if __name__ == "__main__":
    main(overrides_given(__doc__))
