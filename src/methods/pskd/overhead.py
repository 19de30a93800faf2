"""What a loss costs over plain cross-entropy: paired steps on one batch, on a copy of the network."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import nn

from src.core.compiler import compile_in_place
from src.data.images.batch import Batch
from src.data.images.order import epoch_order
from src.methods.pskd.losses.base import Loss
from src.methods.pskd.losses.crossentropy import CrossEntropy
from src.methods.pskd.step import Context, Step

if TYPE_CHECKING:
    from src.methods.pskd.module import Classifier

WARM_UP, PAIRS, SECONDS = 3, 25, 5.0
Precision = Callable[[], AbstractContextManager[None]]  # what a forward pass is done in, as autocast


def measure(module: Classifier) -> dict[str, float]:
    """`cost/overhead_vs_ce` of a run, in percent: a step is forward, loss and backward on the run's first batch, in the
    run's precision, and compiled if the run is."""
    if type(module.loss) is CrossEntropy:
        return {}
    batch = next(iter(module.data.train_loader(module.order, epoch=module.current_epoch, seed=module.seed)))
    batch = Batch(*(item.to(module.device) for item in batch))
    with TemporaryDirectory() as folder:
        network = copy.deepcopy(module.network).train()
        compile_in_place(network, module.wants_compile, "method.compile", module.device)  # a copy is not
        context = replace(module.loss.context, folder=Path(folder), network=network)
        precision = module.trainer.precision_plugin.train_step_context
        return {"cost/overhead_vs_ce": overhead(module.loss.fresh(), context, batch, precision)}


def overhead(loss: Loss, context: Context, batch: Batch, precision: Precision = nullcontext) -> float:
    """Median of (own step / cross-entropy step - 1) over paired steps, in percent; at most five seconds.

    The loss gets a memory for this batch alone, so that nothing of a run changes.
    """
    count = len(batch.labels)
    order = epoch_order(torch.arange(count), labels=batch.labels.cpu(), batch_size=count, seed=0, epoch=0)
    context = replace(context, labels=batch.labels.cpu(), candidates=torch.arange(count), rank=0, world=1,
                      order_of=lambda epoch, rank: order)
    rows = torch.arange(count, device=batch.labels.device)
    batch = Batch(batch.images, batch.labels, rows)
    return 100 * (median(ratios(loss, context, batch, precision=precision)) - 1)


def ratios(loss: Loss, context: Context, batch: Batch, pairs: int = PAIRS, seconds: float = SECONDS,
           precision: Precision = nullcontext) -> list[float]:
    """Seconds of a step with the loss over seconds of one with plain cross-entropy, pair by pair."""
    return [mine / base for mine, base in seconds_of_pairs(loss, context, batch, pairs, seconds, precision)]


def seconds_of_pairs(loss: Loss, context: Context, batch: Batch, pairs: int, seconds: float,
                     precision: Precision = nullcontext) -> list[tuple[float, float]]:
    """Seconds of a step with the loss, and of one with plain cross-entropy right before or after it."""
    plain = CrossEntropy()
    for item in (plain, loss):
        item.begin(context)
        for epoch in (0, 1):  # from the second epoch on there are past predictions
            item.begin_epoch(epoch)
            if epoch == 0:
                item.end_epoch()
    step = Step(batch.images, batch.labels, batch.index, batch.index.cpu(), 0, len(batch.labels), None)
    own = replace(step, images=torch.cat([step.images, step.images])) if loss.paired else step

    def pair(first: tuple[Loss, Step], second: tuple[Loss, Step]) -> tuple[float, float]:
        return timed(context.network, *first, precision), timed(context.network, *second, precision)

    for _ in range(WARM_UP):
        pair((plain, step), (loss, own))
    found, start = [], time.perf_counter()
    while len(found) < pairs and (len(found) < 3 or time.perf_counter() - start < seconds):
        if len(found) % 2:  # neither side always comes first
            base, mine = pair((plain, step), (loss, own))
        else:
            mine, base = pair((loss, own), (plain, step))
        found.append((mine, base))
    return found


def timed(net: nn.Module, loss: Loss, step: Step, precision: Precision) -> float:
    """Seconds of one step."""
    _wait(step.images.device)
    start = time.perf_counter()
    with precision():
        losses, _ = loss(net, step)
    losses.mean().backward()
    net.zero_grad(set_to_none=True)
    _wait(step.images.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
