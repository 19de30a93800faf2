"""PS-KD against a plain reference that builds every target, over several epochs with shuffling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.core.errors import UserError
from src.methods.pskd.losses.pskd import PSKD
from tests.methods.pskd.conftest import BATCH, CLASSES, EPOCHS, SAMPLES, Problem

EXACT = ("table", "sharded", "memmap")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def reference(problem: Problem, alpha: float, lr: float = 0.5) -> tuple[list[float], np.ndarray]:
    """NumPy, by hand: two layers, targets as arrays, gradients written out. The table is kept in half precision."""
    first, second = problem.network[1], problem.network[3]
    layers = (first.weight, first.bias, second.weight, second.bias)
    w1, b1, w2, b2 = (item.detach().double().numpy().copy() for item in layers)
    images, labels = problem.images.flatten(1).double().numpy(), problem.labels.numpy()
    one_hot = np.eye(CLASSES)[labels]
    table, seen = one_hot.copy(), []
    for epoch in range(EPOCHS):
        a = alpha * (epoch + 1) / EPOCHS
        permutation = problem.order(epoch).index.numpy()
        for start in range(0, SAMPLES, BATCH):
            rows = permutation[start : start + BATCH]
            x, target = images[rows], (1 - a) * one_hot[rows] + a * table[rows]
            hidden = np.maximum(x @ w1.T + b1, 0)
            probs = softmax(hidden @ w2.T + b2)
            seen.append(float(-(target * np.log(probs)).sum(1).mean()))
            d_logits = (probs * target.sum(1, keepdims=True) - target) / len(rows)
            d_hidden = (d_logits @ w2) * (hidden > 0)
            w2, b2 = w2 - lr * d_logits.T @ hidden, b2 - lr * d_logits.sum(0)
            w1, b1 = w1 - lr * d_hidden.T @ x, b1 - lr * d_hidden.sum(0)
            table[rows] = probs.astype(np.float16)
    return seen, np.concatenate([item.ravel() for item in (w1, b1, w2, b2)])


@pytest.mark.parametrize("memory", EXACT)
def test_a_run_equals_the_reference(problem: Problem, memory: str) -> None:
    expected, weights = reference(problem, alpha=0.8)
    loss = PSKD(alpha=0.8, memory=memory)
    loss.begin(problem.context)
    seen, _ = problem.train(loss)
    np.testing.assert_allclose(seen, expected, rtol=2e-3)  # a probability may round to the other half-precision number
    np.testing.assert_allclose(problem.weights().numpy(), weights, atol=2e-3)


def test_all_rows_kept_is_the_table(problem: Problem, another) -> None:
    runs = []
    for memory in ("table", "topk"):
        fresh = another()
        loss = PSKD(alpha=0.8, memory=memory, top=CLASSES)
        loss.begin(fresh.context)
        runs.append(fresh.train(loss)[0])
    np.testing.assert_allclose(runs[0], runs[1], rtol=2e-3)


def test_the_first_epoch_is_plain_cross_entropy(problem: Problem) -> None:
    loss = PSKD(alpha=1.0, memory="table")
    loss.begin(problem.context)
    loss.begin_epoch(0)
    step = next(problem.steps(0))
    losses, logits = loss(problem.network, step)
    torch.testing.assert_close(losses, torch.nn.functional.cross_entropy(logits, step.labels, reduction="none"))


def test_snapshot_is_last_epochs_network_on_the_same_input(problem: Problem) -> None:
    loss = PSKD(alpha=0.8, memory="snapshot")
    loss.begin(problem.context)
    problem.train(loss, 0, 2)
    before = problem.build()
    before.load_state_dict(problem.network.state_dict())
    loss.begin_epoch(2)
    optimizer = torch.optim.SGD(problem.network.parameters(), lr=0.5)
    for step in problem.steps(2):
        losses, logits = loss(problem.network, step)
        target = 0.4 * torch.nn.functional.one_hot(step.labels, CLASSES) + 0.6 * before(step.images).softmax(1)
        torch.testing.assert_close(losses, torch.nn.functional.cross_entropy(logits, target, reduction="none"))
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()


@pytest.mark.parametrize("memory", [*EXACT, "topk", "snapshot"])
def test_resume_equals_an_uninterrupted_run(another, memory: str) -> None:
    whole, part = another(), another()
    loss = PSKD(alpha=0.8, memory=memory, top=3)
    loss.begin(whole.context)
    expected, figures = whole.train(loss)
    loss = PSKD(alpha=0.8, memory=memory, top=3)
    loss.begin(part.context)
    part.train(loss, 0, 2)
    state, weights = loss.state_dict(), part.network.state_dict()
    resumed = another()
    resumed.network.load_state_dict(weights)
    loss = PSKD(alpha=0.8, memory=memory, top=3)
    loss.begin(resumed.context)
    loss.load_state_dict(state)
    seen, last = resumed.train(loss, 2, EPOCHS)
    assert seen == expected[-len(seen):]
    assert last == figures[2:]
    assert torch.equal(resumed.weights(), whole.weights())


def test_a_checkpoint_of_the_sharded_memory_fits_the_table(another) -> None:
    part = another()
    sharded, table = PSKD(alpha=0.8, memory="sharded"), PSKD(alpha=0.8, memory="table")
    sharded.begin(part.context)
    part.train(sharded, 0, 2)
    table.begin(part.context)
    table.load_state_dict(sharded.state_dict())
    sharded.begin_epoch(2), table.begin_epoch(2)
    for step in part.steps(2):
        assert torch.equal(sharded.memory.read(step).values, table.memory.read(step).values)


def test_a_memmap_survives_a_crash_within_the_next_epoch(another) -> None:
    whole, part = another(), another()
    loss = PSKD(alpha=0.8, memory="memmap")
    loss.begin(whole.context)
    expected, _ = whole.train(loss)
    loss = PSKD(alpha=0.8, memory="memmap")
    loss.begin(part.context)
    part.train(loss, 0, 2)
    state, weights = loss.state_dict(), {k: v.clone() for k, v in part.network.state_dict().items()}
    loss.begin_epoch(2)
    for step in list(part.steps(2))[:2]:  # half an epoch more, then the process dies
        loss(part.network, step)
    resumed = another()
    resumed.network.load_state_dict(weights)
    loss = PSKD(alpha=0.8, memory="memmap")
    loss.begin(resumed.context)
    loss.load_state_dict(state)
    seen, _ = resumed.train(loss, 2, EPOCHS)
    assert seen == expected[-len(seen):]


def test_the_gradient_factor_is_the_gradients_ratio(problem: Problem) -> None:
    """d loss / d z_y relative to cross-entropy's, summed over the samples of the epoch."""
    loss = PSKD(alpha=0.8, memory="table")
    loss.begin(problem.context)
    problem.train(loss, 0, 2)
    loss.begin_epoch(2)
    own, plain = 0.0, 0.0
    for step in problem.steps(2):
        logits = problem.network(step.images).detach().requires_grad_()
        losses, _ = loss(lambda _, kept=logits: kept, step)
        own += float(torch.autograd.grad(losses.sum(), logits)[0].gather(1, step.labels[:, None]).sum())
        hard = torch.nn.functional.cross_entropy(logits, step.labels, reduction="sum")
        plain += float(torch.autograd.grad(hard, logits)[0].gather(1, step.labels[:, None]).sum())
    assert loss.end_epoch()["pskd/gradient_factor_all"] == pytest.approx(own / plain, rel=2e-3)


def test_a_fresh_loss_has_the_same_options_and_a_memory_of_its_own() -> None:
    loss = PSKD(alpha=0.7, memory="topk", top=3, smoothing=0.1)
    fresh = loss.fresh()
    for name in ("alpha", "kind", "top", "smoothing"):
        assert getattr(fresh, name) == getattr(loss, name)
    assert fresh.memory is not loss.memory and fresh.memory.top == 3


def test_alpha_comes_from_the_epoch_and_is_a_tensor_in_one_place(problem: Problem) -> None:
    loss = PSKD(alpha=0.8, memory="table")
    loss.begin(problem.context)
    place = loss.weight.data_ptr()
    values = []
    for epoch in (0, 3, 1):
        loss.begin_epoch(epoch)
        values.append(float(loss.weight))
    assert values == pytest.approx([0.2, 0.8, 0.4])
    assert loss.weight.data_ptr() == place


@pytest.mark.parametrize(("change", "word"), [({"fingerprint": "0" * 64}, "fingerprint"), ({"memory": None}, "zeros"),
                                              ({"epochs": 7}, "method.epochs"), ({"alpha": 0.5}, "method.loss.alpha")])
def test_a_state_that_does_not_fit_is_refused(problem: Problem, change: dict, word: str) -> None:
    loss = PSKD(alpha=0.8, memory="table")
    loss.begin(problem.context)
    with pytest.raises(UserError, match=word):
        loss.load_state_dict({**loss.state_dict(), **change})


@pytest.mark.parametrize("memory", ["sharded", "memmap", "topk", "snapshot"])
def test_a_memory_refuses_another_ones_state(problem: Problem, memory: str) -> None:
    other = PSKD(alpha=0.8, memory="snapshot" if memory != "snapshot" else "topk", top=3)
    loss = PSKD(alpha=0.8, memory=memory, top=3)
    for item in (other, loss):
        item.begin(problem.context)
    with pytest.raises(UserError, match="memory"):
        loss.load_state_dict(other.state_dict())
