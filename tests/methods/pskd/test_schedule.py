"""Optimisers, and learning rates at the paper's places."""

import pytest
import torch
from lightning import Trainer

from src.methods.pskd.optimiser import optimiser
from src.methods.pskd.schedule import learning_rate, steps_of_epoch


def test_steps_fall_at_the_papers_epochs() -> None:
    factor = learning_rate("step", epochs=300, steps=391, milestones=[0.5, 0.75], gamma=0.1)
    values = {epoch: factor(epoch * 391) for epoch in (0, 149, 150, 224, 225, 299)}
    expected = {0: 1, 149: 1, 150: 0.1, 224: 0.1, 225: 0.01, 299: 0.01}
    assert values == {epoch: pytest.approx(value) for epoch, value in expected.items()}


def test_cosine_falls_to_zero_and_warm_up_rises() -> None:
    factor = learning_rate("cosine", epochs=10, steps=4, milestones=[], gamma=0.1, warmup_epochs=1)
    assert [factor(step) for step in range(4)] == sorted(factor(step) for step in range(4))
    assert factor(0) == pytest.approx(0.25)
    assert factor(20) == pytest.approx(0.5)
    assert factor(40) == pytest.approx(0)


def test_a_single_epoch_has_no_milestone_before_its_end() -> None:
    factor = learning_rate("step", epochs=1, steps=10, milestones=[0.5, 0.75], gamma=0.1)
    assert {factor(step) for step in range(10)} == {1}


@pytest.mark.parametrize(("steps", "options"), [
    (10, {}), (4, {"accumulate_grad_batches": 3}), (6, {"limit_train_batches": 6}), (10, {"limit_train_batches": 99}),
    (5, {"limit_train_batches": 0.5}), (2, {"limit_train_batches": 3, "accumulate_grad_batches": 2}),
])
def test_an_epoch_has_as_many_steps_as_the_trainer_makes(steps: int, options: dict) -> None:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True, **options)
    assert steps_of_epoch(10, trainer) == steps


@pytest.mark.parametrize(("kind", "expected"), [
    ("sgd", 1 - 0.1 * (2.0 + 0.5 * 1.0)),  # the decay is part of the gradient
    ("adamw", 1 * (1 - 0.1 * 0.5) - 0.1),  # the decay is apart, and the first step as long as lr
])
def test_the_first_step_of_each_optimiser(kind: str, expected: float) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.full((1,), 2.0)
    optimiser(kind, [weight], lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.5).step()
    assert weight.item() == pytest.approx(expected, abs=1e-5)
