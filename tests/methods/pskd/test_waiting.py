"""PS-KD's step, with every memory that lives on the device, never waits for it; see tests/waiting.py."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from src.methods.pskd.losses.base import Loss
from src.methods.pskd.losses.cskd import CSKD
from src.methods.pskd.losses.pskd import PSKD
from src.methods.pskd.losses.tfkd import TFKD
from src.methods.pskd.mixing import Mix
from src.methods.pskd.module import Classifier
from tests.waiting import META, Transfers

LOSSES = [PSKD(alpha=0.8, memory=memory, top=2) for memory in ("table", "sharded", "topk", "snapshot")] + [TFKD()]


def prepared(loss: Loss, problem) -> torch.nn.Module:
    """The loss in its second epoch, on a network without values."""
    network = problem.build().to(META)
    loss.begin(replace(problem.context, device=META, network=network, build=lambda: problem.build().to(META)))
    loss.begin_epoch(0)
    if isinstance(loss, PSKD) and loss.kind == "snapshot":
        loss.memory.end_epoch()
    return network


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: getattr(loss, "kind", "tfkd"))
def test_forward_loss_and_backward_do_not_wait(loss: Loss, problem) -> None:
    network = prepared(loss, problem)
    for step in problem.steps(0):
        step = replace(step, images=step.images.to(META), labels=step.labels.to(META), index=step.index.to(META))
        for mix in (None, Mix(0.7)):
            with Transfers() as seen:
                losses, _ = loss(network, replace(step, mix=mix))
                losses.mean().backward()
            assert not seen.found


@pytest.mark.parametrize("loss", [PSKD(alpha=0.8, memory="table"), CSKD()], ids=["pskd", "cskd"])
def test_a_training_step_does_not_wait(loss: Loss, problem) -> None:
    """The module's own step, figures included; `sizes` and `real` of a batch are the host's."""
    network, order = prepared(loss, problem), problem.order(0, paired=loss.paired)
    module = SimpleNamespace(order=order, loss=loss, network=network, mixing="none", mixing_concentration=1.0,
                             mixing_probability=0.0, seed=0, current_epoch=0, batch_size=order.sizes[0],
                             sums=torch.zeros(3, device=META), trainer=SimpleNamespace(world_size=1))
    for number in range(len(order)):
        rows = order.rows(number)
        batch = [item.to(META) for item in (problem.images[rows], problem.labels[rows], rows)]
        with Transfers() as seen:
            Classifier.training_step(module, SimpleNamespace(images=batch[0], labels=batch[1], index=batch[2]),
                                     number).backward()
        assert not seen.found
