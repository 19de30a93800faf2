"""The rivals' losses against their definitions, written out with every target as an array."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from src.core.errors import UserError
from src.methods.pskd.losses.crossentropy import CrossEntropy, ScaledCrossEntropy
from src.methods.pskd.losses.cskd import CSKD
from src.methods.pskd.losses.pskd import PSKD
from src.methods.pskd.losses.tfkd import TFKD, virtual_teacher
from src.methods.pskd.mixing import Mix
from src.methods.pskd.step import Step
from tests.methods.pskd.conftest import CLASSES, EPOCHS, Problem


def of(loss, problem: Problem, step: Step | None = None, epoch: int = 0):
    loss.begin(problem.context)
    loss.begin_epoch(epoch)
    return loss(problem.network, step or next(problem.steps(epoch)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_and_without_smoothing(problem: Problem, smoothing: float) -> None:
    losses, logits = of(CrossEntropy(smoothing=smoothing), problem)
    labels = next(problem.steps(0)).labels
    torch.testing.assert_close(losses, F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none"))


def test_smoothing_of_a_mixed_picture(problem: Problem) -> None:
    step = replace(next(problem.steps(0)), mix=Mix(0.3))
    losses, logits = of(CrossEntropy(smoothing=0.1), problem, step)
    labels = F.one_hot(step.labels, CLASSES).float()
    target = 0.3 * labels + 0.7 * labels.flip(0)
    expected = F.cross_entropy(logits, target, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(losses, expected)


@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_scaled_cross_entropy_is_pskd_without_its_soft_part(problem: Problem, epoch: int) -> None:
    loss = ScaledCrossEntropy(alpha=0.8)
    losses, logits = of(loss, problem, epoch=epoch)
    labels = next(problem.steps(epoch)).labels
    weight = 1 - 0.8 * (epoch + 1) / EPOCHS
    torch.testing.assert_close(losses, weight * F.cross_entropy(logits, labels, reduction="none"))
    assert loss.end_epoch() == {"pskd/alpha": pytest.approx(1 - weight)}


def test_cskd_draws_two_pictures_of_a_class_together(problem: Problem) -> None:
    order = problem.order(0, paired=True)
    rows = order.rows(0)
    assert torch.equal(problem.labels[rows[:8]], problem.labels[rows[8:]])
    step = Step(problem.images[rows], problem.labels[rows[:8]], rows[:8], rows[:8], 0, 8, None)
    losses, logits = of(CSKD(temperature=4.0, weight=0.7), problem, step)
    partner = problem.network(problem.images[rows[8:]]).detach()
    distance = F.kl_div((logits / 4).log_softmax(1), (partner / 4).softmax(1), reduction="none").sum(1)
    hard = F.cross_entropy(logits, step.labels, reduction="none")
    torch.testing.assert_close(losses, hard + 0.7 * 16 * distance)
    losses.mean().backward()
    own = [item.grad.clone() for item in problem.network.parameters()]
    problem.network.zero_grad()
    logits = problem.network(step.images[:8])  # the partner is a constant: no gradient flows through it
    distance = F.kl_div((logits / 4).log_softmax(1), (partner / 4).softmax(1), reduction="none").sum(1)
    (F.cross_entropy(logits, step.labels) + (0.7 * 16 * distance).mean()).backward()
    for gradient, item in zip(own, problem.network.parameters(), strict=True):
        torch.testing.assert_close(gradient, item.grad)


def test_tfkd_with_a_virtual_teacher(problem: Problem) -> None:
    losses, logits = of(TFKD(weight=0.3, temperature=20.0, correct=0.9), problem)
    labels = next(problem.steps(0)).labels
    teacher = torch.full((len(labels), CLASSES), 0.1 / (CLASSES - 1)).scatter(1, labels[:, None], 0.9)
    teacher = (teacher / 20).softmax(1)
    distance = F.kl_div(logits.log_softmax(1), teacher, reduction="none").sum(1)
    expected = 0.7 * F.cross_entropy(logits, labels, reduction="none") + 0.3 * distance
    torch.testing.assert_close(losses, expected)


def test_the_virtual_teacher_is_a_distribution() -> None:
    peak, other = virtual_teacher(0.99, 20.0, 100)
    assert peak + 99 * other == pytest.approx(1)
    assert peak / other == pytest.approx(2.718281828 ** ((0.99 - 0.01 / 99) / 20))


def test_tfkd_with_an_earlier_network(problem: Problem) -> None:
    teacher = problem.build()
    with torch.no_grad():
        teacher[3].bias += torch.arange(CLASSES)
    path = problem.context.folder / "teacher.ckpt"
    torch.save({"state_dict": {f"network.{key}": value for key, value in teacher.state_dict().items()}}, path)
    loss = TFKD(weight=0.9, temperature=3.0, teacher=str(path))
    losses, logits = of(loss, problem)
    step = next(problem.steps(0))
    distance = F.kl_div((logits / 3).log_softmax(1), (teacher(step.images) / 3).softmax(1), reduction="none").sum(1)
    expected = 0.1 * F.cross_entropy(logits, step.labels, reduction="none") + 0.9 * 9 * distance
    torch.testing.assert_close(losses, expected)
    assert not loss.net.training and not any(item.requires_grad for item in loss.net.parameters())


def test_the_latest_teacher_is_looked_for_where_runs_are(problem: Problem) -> None:
    runs = problem.context.folder / "elsewhere"
    with pytest.raises(UserError, match=r"method\.loss\.teacher=latest: .*elsewhere.* has no checkpoint"):
        (runs / "latest").mkdir(parents=True)
        TFKD(teacher="latest", output_dir=str(runs)).begin(problem.context)


def test_a_teacher_of_another_kind_is_refused(problem: Problem) -> None:
    path = problem.context.folder / "teacher.ckpt"
    torch.save({"state_dict": {"network.other": torch.zeros(3)}}, path)
    with pytest.raises(UserError, match="not the one that is trained here"):
        TFKD(teacher=str(path)).begin(problem.context)


@pytest.mark.parametrize("make", [CrossEntropy, lambda: PSKD(alpha=0.8, memory="table"), TFKD])
def test_losses_are_in_full_precision_under_autocast(problem: Problem, make) -> None:
    loss = make()
    loss.begin(problem.context)
    loss.begin_epoch(0)
    step = next(problem.steps(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses, logits = loss(problem.network, step)
    assert logits.dtype == torch.bfloat16
    assert losses.dtype == torch.float32
    if isinstance(loss, PSKD):
        expected = logits.float().softmax(1).half()
        assert torch.equal(loss.memory.rows[step.index], expected)
