"""What is written into a memory, what is refused, and what is told about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from src.core.errors import UserError
from src.methods.pskd.losses.pskd import PSKD
from src.methods.pskd.memory import exchange, make
from src.methods.pskd.mixing import Mix
from src.methods.pskd.rows import DenseRows, MixedRows, TopRows
from tests.methods.pskd.conftest import BATCH, CLASSES, SAMPLES, Problem

ROWS = ("table", "sharded", "memmap", "topk")


def opened(problem: Problem, kind: str):
    memory = make(kind, top=3)
    memory.open(problem.context)
    memory.begin_epoch(0)
    return memory


def dense(memory, step) -> torch.Tensor:
    """The rows of a batch, all classes."""
    rows = memory.read(step)
    return torch.stack([rows.at(torch.full_like(step.labels, kind)) for kind in range(CLASSES)], 1)


@pytest.mark.parametrize("kind", ROWS)
def test_every_row_starts_as_the_label(problem: Problem, kind: str) -> None:
    memory = opened(problem, kind)
    for step in problem.steps(0):
        assert torch.equal(dense(memory, step), torch.nn.functional.one_hot(step.labels, CLASSES).float())


@pytest.mark.parametrize("kind", ROWS)
def test_a_padded_row_is_never_written(problem: Problem, kind: str) -> None:
    memory = opened(problem, kind)
    step = next(problem.steps(0))
    step = replace(step, index=torch.cat([step.index[:6], step.index[:2]]), real=6,
                   host_index=torch.cat([step.index[:6], step.index[:2]]))
    probs = torch.full((8, CLASSES), 1 / CLASSES)
    probs[6:] = torch.tensor([0.0, 0, 0, 0, 1])  # would be seen in the rows of the first two
    memory.write(step, probs, memory.read(step))
    if kind == "memmap":
        memory._flush()
    assert int((memory.written == 0).sum()) == 6
    memory.end_epoch()
    memory.begin_epoch(1)
    found = {int(row): values for later in problem.steps(1)
             for row, values in zip(later.index, dense(memory, later), strict=True)}
    for row in step.index[:6].tolist():
        torch.testing.assert_close(found[row], torch.full((CLASSES,), 1 / CLASSES), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", ROWS)
def test_a_nan_row_is_refused_and_reported(problem: Problem, kind: str, capsys) -> None:
    memory = opened(problem, kind)
    for number, step in enumerate(problem.steps(0)):
        probs = torch.full((len(step.labels), CLASSES), 1 / CLASSES)
        if number == 0:
            probs[2, 1] = torch.nan
            broken = int(step.index[2])
        memory.write(step, probs, memory.read(step))
    figures = memory.end_epoch()
    assert figures["memory/refused_rows"] == 1
    assert figures["memory/row_age_max"] == 1  # still the label
    assert "1 predictions of epoch 1 were NaN" in capsys.readouterr().err
    memory.begin_epoch(1)
    for step in problem.steps(1):
        rows = dense(memory, step)
        assert rows.isfinite().all()
        for row, values in zip(step.index.tolist(), rows, strict=True):
            expected = torch.eye(CLASSES)[problem.labels[row]] if row == broken else torch.full((CLASSES,), 1 / CLASSES)
            torch.testing.assert_close(values, expected, atol=1e-3, rtol=0)
    assert memory.end_epoch()["memory/refused_rows"] == 0


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_that_is_not_visited_in_an_epoch_stays_as_it_was(problem: Problem, kind: str) -> None:
    memory, even = opened(problem, kind), torch.full((BATCH, CLASSES), 1 / CLASSES)
    for step in problem.steps(0):
        memory.write(step, even[: step.real], memory.read(step))
    memory.end_epoch()
    memory.begin_epoch(1)
    first, *others = problem.steps(1)
    memory.write(first, torch.eye(CLASSES)[torch.full((BATCH,), 2)], memory.read(first))
    memory.end_epoch()
    memory.begin_epoch(2)
    left = {row for step in others for row in step.index.tolist()}
    for step in problem.steps(2):
        for row, values in zip(step.index.tolist(), dense(memory, step), strict=True):
            expected = even[0] if row in left else torch.eye(CLASSES)[2]
            torch.testing.assert_close(values, expected, atol=1e-3, rtol=0)


def test_a_memmap_keeps_the_rows_of_the_last_two_checkpoints_also_in_a_run_that_goes_on(problem: Problem) -> None:
    memory, resumed, states = opened(problem, "memmap"), make("memmap", top=3), []
    for epoch in range(3):
        memory.begin_epoch(epoch)
        memory.end_epoch()
        states.append(memory.state_dict())
    resumed.open(problem.context)
    resumed.load_state_dict(states[2])
    for one in (memory, resumed):
        one.begin_epoch(3)  # removes what no checkpoint needs
        assert sorted(file.name for file in one.folder.glob("*.f16")) == [f"rows_{n}.f16" for n in (2, 3, 4)]
        one.load_state_dict(states[1])
    note = memory.path(2).with_suffix(".json")
    for content in (note.read_text().replace("fff", "000"), "{"):  # rows of other pictures, or not known whose
        note.write_text(content)
        with pytest.raises(UserError, match="past predictions of 2 epochs are not there"):
            memory.load_state_dict(states[1])


def test_the_rest_that_topk_leaves_out_is_the_mean_over_an_epochs_real_rows(problem: Problem) -> None:
    memory = opened(problem, "topk")
    even, certain = torch.full((BATCH, CLASSES), 1 / CLASSES), torch.eye(CLASSES)[torch.zeros(BATCH, dtype=torch.long)]
    for epoch, probs, rest in ((0, even, 0.4), (1, certain, 0.0)):
        memory.begin_epoch(epoch)
        padded = replace(next(problem.steps(epoch)), real=6)
        memory.write(padded, probs, memory.read(padded))
        assert memory.end_epoch()["memory/rest"] == pytest.approx(rest, abs=1e-6)


@pytest.mark.parametrize("shape", [(SAMPLES, CLASSES + 1), (SAMPLES + 1, CLASSES)])
@pytest.mark.parametrize("kind", ["table", "sharded"])
def test_a_table_of_other_pictures_or_classes_is_refused(problem: Problem, kind: str, shape: tuple[int, int]) -> None:
    memory = opened(problem, kind)
    with pytest.raises(UserError, match="this data set needs"):
        memory.load_state_dict(memory.state_dict() | {"rows": torch.zeros(shape)})


def test_the_age_is_that_of_the_rows_that_are_trained_on(problem: Problem) -> None:
    """The others, held out to validate with, are never written."""
    context = replace(problem.context, candidates=next(problem.steps(0)).index)
    memory = make("table", top=3)
    memory.open(context)
    memory.begin_epoch(0)
    step = next(problem.steps(0))
    memory.write(step, torch.full((BATCH, CLASSES), 1 / CLASSES), memory.read(step))
    figures = memory.end_epoch()
    assert figures["memory/row_age_mean"] == figures["memory/row_age_max"] == 0


def test_age_counts_epochs_since_a_row_was_written(problem: Problem) -> None:
    memory = opened(problem, "table")
    ages = []
    for epoch in range(3):
        memory.begin_epoch(epoch)
        for step in list(problem.steps(epoch))[: 2 if epoch else 3]:  # the last batch is dropped later on
            memory.write(step, torch.full((len(step.labels), CLASSES), 1 / CLASSES), memory.read(step))
        ages.append(memory.end_epoch())
    missed = [set(problem.order(epoch).rows(2).tolist()) for epoch in (1, 2)]
    both = len(missed[0] & missed[1])
    assert ages[0]["memory/row_age_mean"] == 0
    assert ages[2]["memory/row_age_mean"] == pytest.approx((len(missed[1]) + both) / SAMPLES)
    assert ages[2]["memory/row_age_max"] == (2 if both else 1)


@pytest.mark.parametrize("kind", ROWS)
def test_a_resumed_memory_knows_how_old_its_rows_are(problem: Problem, kind: str) -> None:
    memory, resumed = opened(problem, kind), make(kind, top=3)
    step = next(problem.steps(0))
    memory.write(step, torch.full((BATCH, CLASSES), 1 / CLASSES), memory.read(step))
    memory.end_epoch()
    resumed.open(problem.context)
    resumed.load_state_dict(memory.state_dict())
    assert resumed.written.nonzero().squeeze(1).tolist() == sorted(set(range(SAMPLES)) - set(step.index.tolist()))
    assert torch.equal(resumed.written, memory.written)


@pytest.mark.parametrize("kind", ROWS)
def test_a_mixed_batch_reads_both_rows_and_writes_none(problem: Problem, kind: str) -> None:
    loss = PSKD(alpha=0.8, memory=kind, top=3)
    loss.begin(problem.context)
    problem.train(loss, 0, 2)
    loss.begin_epoch(2)
    step = next(problem.steps(2))
    rows = dense(loss.memory, step)
    mixed = replace(step, mix=Mix(0.7), images=0.7 * step.images + 0.3 * step.images.flip(0))
    losses, logits = loss(problem.network, mixed)
    labels = torch.nn.functional.one_hot(step.labels, CLASSES).float()
    own = 0.4 * labels + 0.6 * rows
    target = 0.7 * own + 0.3 * own.flip(0)
    # A row in half precision does not quite sum to one.
    expected = -(target * logits.log_softmax(1)).sum(1)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)
    assert not (loss.memory.written == 2).any()


def test_snapshot_serves_mixed_pictures_exactly(problem: Problem) -> None:
    loss = PSKD(alpha=0.8, memory="snapshot")
    loss.begin(problem.context)
    step = next(problem.steps(0))
    mixed = replace(step, mix=Mix(0.7), images=0.7 * step.images + 0.3 * step.images.flip(0))
    loss.begin_epoch(0)
    losses, logits = loss(problem.network, mixed)
    labels = torch.nn.functional.one_hot(step.labels, CLASSES).float()
    expected = -((0.7 * labels + 0.3 * labels.flip(0)) * logits.log_softmax(1)).sum(1)
    torch.testing.assert_close(losses, expected)
    loss.end_epoch()
    assert not loss.memory.teacher.training  # its running statistics stay as they are
    loss.begin_epoch(1)
    losses, logits = loss(problem.network, mixed)
    target = 0.6 * (0.7 * labels + 0.3 * labels.flip(0)) + 0.4 * logits.softmax(1)  # the net has not changed since
    torch.testing.assert_close(losses, -(target.detach() * logits.log_softmax(1)).sum(1))


def test_topk_is_within_its_stated_error() -> None:
    chance = torch.Generator().manual_seed(0)
    logits, past = torch.randn(64, 50, generator=chance) * 3, (torch.randn(64, 50, generator=chance) * 2).softmax(1)
    values, classes = past.topk(5, 1)
    kept, log_probs = TopRows(values, classes, 50), logits.log_softmax(1)
    error = (kept.cross_entropy(log_probs) - DenseRows(past).cross_entropy(log_probs)).abs()
    bound = kept.rest * (logits.amax(1) - logits.amin(1))
    assert (error <= bound).all()
    assert error.max() > 0
    torch.testing.assert_close(sum(kept.at(torch.full((64,), kind)) for kind in range(50)), torch.ones(64))


def test_mixed_rows_are_linear() -> None:
    first, second = torch.rand(4, 3).softmax(1), torch.rand(4, 3).softmax(1)
    log_probs = torch.randn(4, 3).log_softmax(1)
    both = MixedRows(DenseRows(first), DenseRows(second), 0.25)
    dense_rows = DenseRows(0.25 * first + 0.75 * second)
    torch.testing.assert_close(both.cross_entropy(log_probs), dense_rows.cross_entropy(log_probs))
    torch.testing.assert_close(both.at(torch.tensor([0, 1, 2, 0])), dense_rows.at(torch.tensor([0, 1, 2, 0])))


def test_a_memory_is_no_module_and_has_no_gradient(problem: Problem) -> None:
    """DDP broadcasts module buffers at every forward: it would overwrite what ranks differ in."""
    loss = PSKD(alpha=0.8, memory="table")
    loss.begin(problem.context)
    problem.train(loss, 0, 1)
    assert not isinstance(loss, torch.nn.Module)
    assert not isinstance(loss.memory, torch.nn.Module)
    assert not loss.memory.rows.requires_grad


def test_sizes_are_what_the_readme_says(problem: Problem) -> None:
    context = replace(problem.context, labels=torch.zeros(50_000, dtype=torch.int64), classes=100,
                      candidates=torch.arange(50_000))
    table, top = make("table", 10), make("topk", 10)
    table.open(context), top.open(context)
    assert table.rows.nbytes == 10_000_000
    assert top.values.nbytes + top.classes.nbytes == 50_000 * 10 * 4
    assert pytest.approx(2.56e9, rel=1e-3) == 1_281_167 * 1000 * 2


def test_a_rank_without_rows_takes_as_many_pieces_as_the_others(monkeypatch) -> None:
    taken: list[list[tuple[int, ...]]] = []
    for rows in (torch.ones(5, 4, dtype=torch.float16), torch.ones(0, 4, dtype=torch.float16)):
        shapes: list[tuple[int, ...]] = []
        monkeypatch.setattr(exchange, "CHUNK", 16)  # two rows
        monkeypatch.setattr(exchange.dist, "all_gather", lambda _, block, seen=shapes: seen.append(tuple(block.shape)))
        list(exchange.pieces(rows, [5, 0]))
        taken.append(shapes)
    assert taken[0] == taken[1] == [(2, 4), (2, 4), (1, 4)]
