"""What PS-KD adds to a step of cross-entropy, by memory; and how fast the step itself can be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from src.bench.pskd_step import problem
from src.bench.timing import Result, compared, device, skipped, summary
from src.core import compiler
from src.data.images.batch import Batch
from src.methods.pskd.losses.crossentropy import CrossEntropy
from src.methods.pskd.losses.pskd import PSKD
from src.methods.pskd.overhead import seconds_of_pairs
from src.methods.pskd.step import Context, Step

MEMORIES = ("table", "sharded", "memmap", "topk", "snapshot")
PAIRS, SECONDS = 21, 40.0
SMALL = ("model=small_preact_resnet",)  # in place of ResNet-18 where there is no GPU


def cases(overrides: Sequence[str]) -> Iterator[Result]:
    """Every comparison, one after the other."""
    context, batch = problem([*(() if device().type == "cuda" else SMALL), *overrides])
    losses = {"cross-entropy (itself)": CrossEntropy()} | {m: PSKD(alpha=0.8, memory=m) for m in MEMORIES}
    for name, loss in losses.items():
        pairs = seconds_of_pairs(loss, replace(context), batch, PAIRS, SECONDS)
        yield summary(f"PS-KD step: {name}", "cost", "with the loss", "cross-entropy", pairs,
                      f"{len(batch.labels)} pictures, {len(context.labels):,} x {context.classes} rows")
    yield layout(context, batch)
    yield from compilation(context, batch)


def trained(network: nn.Module, batch: Batch, precision: torch.dtype | None = None) -> Callable[[], None]:
    """Forward, PS-KD's loss and backward on one batch."""
    loss = PSKD(alpha=0.8, memory="table")
    labels, count = batch.labels.cpu(), len(batch.labels)
    rows = torch.arange(count, device=batch.labels.device)
    loss.begin(Context(labels=labels, candidates=torch.arange(count), classes=100, epochs=300, device=rows.device,
                       folder=None, fingerprint="", network=network, build=lambda: network, order_of=None))
    loss.begin_epoch(1)
    step = Step(batch.images, batch.labels, rows, torch.arange(count), 0, count, None)

    def work() -> None:
        with torch.autocast(rows.device.type, dtype=precision, enabled=precision is not None):
            losses, _ = loss(network, step)
        losses.mean().backward()
        network.zero_grad(set_to_none=True)

    return work


def layout(context: Context, batch: Batch) -> Result:
    """channels_last pictures and weights, as the project has them, or contiguous ones."""
    plain = copy.deepcopy(context.network).to(memory_format=torch.contiguous_format)
    last = copy.deepcopy(context.network).to(memory_format=torch.channels_last)
    contiguous = Batch(batch.images.contiguous(), batch.labels, batch.index)
    return compared("PS-KD step: channels_last", "speed", ("contiguous", trained(plain, contiguous)),
                    ("channels_last", trained(last, batch)))


def compilation(context: Context, batch: Batch) -> Iterator[Result]:
    """`method.compile`, a half precision, and CUDA graphs, each against the step without."""
    eager = trained(context.network, batch)
    half = trained(context.network, batch, torch.bfloat16)
    yield compared("PS-KD step: bfloat16 autocast", "speed", ("float32", eager), ("bfloat16", half))
    ways = {"PS-KD step: compiled": True, "PS-KD step: CUDA graphs": compiler.GRAPHS}
    missing = compiler.problems("method.compile", True)
    for name, way in ways.items():
        if missing or (way == compiler.GRAPHS and device().type != "cuda"):
            yield skipped(name, missing[0] if missing else "CUDA graphs need a CUDA device")
            continue
        network = copy.deepcopy(context.network)
        compiler.compile_in_place(network, way, "method.compile", device())
        yield compared(name, "speed", ("eager", eager), (f"method.compile={way}", trained(network, batch)))
