"""Scores: exact over batches, processes and number types; every corner has a figure or an error that says why."""

from __future__ import annotations

import multiprocessing
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from src.core.errors import UserError
from src.metrics import functions
from src.metrics.scores import Samples, Scores

KEYS = {"top1_err", "top5_err", "nll", "brier", "ece", "ece15", "aurc", "eaurc"}


def drawn(n: int, classes: int = 8, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = 2 * torch.randn(n, classes, generator=generator)
    logits[torch.arange(n), labels] += 1.5
    return logits.to(dtype), labels


def scored(logits: torch.Tensor, labels: torch.Tensor, sizes: list[int] | None = None) -> Scores:
    scores, index = Scores(), torch.arange(len(labels))
    for rows in index.split(sizes or len(labels)):
        scores.update(logits[rows], labels[rows], rows)
    return scores


def test_figures_are_those_of_the_functions() -> None:
    logits, labels = drawn(300)
    figures = scored(logits, labels).figures()
    assert set(figures) == KEYS and all(type(value) is float for value in figures.values())
    found = functions.per_sample(logits, labels)
    assert figures["nll"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-6)
    assert figures["top1_err"] == 100 * (logits.argmax(1) != labels).double().mean().item()
    assert figures["ece"] == functions.ece(found.confidence, found.rank == 0, 10).item()
    assert figures["ece15"] == functions.ece(found.confidence, found.rank == 0, 15).item()
    assert figures["eaurc"] == functions.eaurc(found.confidence, found.rank == 0).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_batches_of_any_size_give_the_same_bits(dtype: torch.dtype) -> None:
    logits, labels = drawn(103, dtype=dtype)
    assert scored(logits, labels).figures() == scored(logits, labels, [50, 1, 1, 51]).figures()


def test_order_of_the_samples_does_not_matter() -> None:
    logits, labels = drawn(100)
    scores, order = Scores(), torch.randperm(100)
    scores.update(logits[order], labels[order], order)
    assert scores.figures() == scored(logits, labels).figures()
    assert torch.equal(scores.label, labels) and torch.equal(scores.index, torch.arange(100))


def test_softmax_is_taken_in_fp32() -> None:
    logits, labels = drawn(50, dtype=torch.bfloat16)
    scores = scored(logits, labels)
    scores.compute()
    assert torch.equal(scores.confidence, logits.float().softmax(1).max(1).values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert scored(logits, labels).figures() == scores.figures()


def test_numbers_of_each_sample_are_kept_and_stored(tmp_path: Path) -> None:
    logits, labels = drawn(40)
    scores = scored(logits, labels)
    scores.figures()
    assert torch.equal(scores.predicted, logits.argmax(1)) and torch.equal(scores.correct, scores.predicted == labels)
    assert scores.nll.shape == scores.confidence.shape == (40,)
    scores.samples.save(tmp_path / "deep" / "test.npz")
    again = Samples.load(tmp_path / "deep" / "test.npz")
    assert all(torch.equal(a, b) for a, b in zip(scores.samples, again, strict=True))


def test_logits_are_kept_in_half_precision_where_they_are_asked_for(tmp_path: Path) -> None:
    logits, labels = drawn(40)
    scores, order = Scores(logits_of=8), torch.randperm(40)
    for rows in order.split(9):
        scores.update(logits[rows], labels[rows], rows)
    assert scores.figures() == scored(logits, labels).figures()
    assert torch.equal(scores.logits, logits.half()) and scored(logits, labels).logits is None
    scores.samples.save(tmp_path / "test.npz", logits=scores.logits.numpy())
    with np.load(tmp_path / "test.npz") as stored:
        assert stored["logits"].dtype == np.float16 and (stored["logits"] == logits.half().numpy()).all()
    assert torch.equal(Samples.load(tmp_path / "test.npz").nll, scores.samples.nll)


def test_no_errors() -> None:
    labels = torch.arange(6)
    figures = scored(torch.eye(6) * 100, labels).figures()
    assert figures == dict.fromkeys(KEYS, 0.0)


def test_all_errors_with_full_confidence() -> None:
    labels = torch.arange(5)
    figures = scored(torch.eye(5).roll(1, 0) * 100, labels).figures()
    assert figures == {"top1_err": 100, "top5_err": 0, "nll": 100, "brier": 2, "ece": 100, "ece15": 100, "aurc": 1000,
                       "eaurc": 0}


def test_one_sample() -> None:
    figures = scored(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).figures()
    assert figures == pytest.approx({"top1_err": 100, "top5_err": 0, "nll": 0.6931472, "brier": 0.5, "ece": 50,
                                     "ece15": 50, "aurc": 1000, "eaurc": 0})


@pytest.mark.parametrize("rows", [None, 0])
def test_no_sample_is_an_error(rows: int | None) -> None:
    scores = Scores()
    if rows is not None:
        scores.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long))
    with pytest.raises(UserError, match="0 samples"):
        scores.figures()


def test_nan_logits_are_counted() -> None:
    logits, labels = drawn(20)
    logits[3, 1], logits[7] = float("nan"), float("inf")
    with pytest.raises(UserError, match="2 of 20 rows of logits have NaN"):
        scored(logits, labels, [5, 15]).figures()


def test_a_row_that_comes_twice_is_an_error() -> None:
    logits, labels = drawn(4)
    scores = scored(logits, labels)
    scores.update(logits[:1], labels[:1], torch.tensor([0]))
    with pytest.raises(ValueError, match="1 of 5 rows came twice"):
        scores.figures()


def test_reset_forgets() -> None:
    scores = scored(*drawn(30))
    first = scores.figures()
    scores.reset()
    scores.update(torch.eye(3), torch.arange(3), torch.arange(3))
    assert scores.figures()["top1_err"] == 0 and first["top1_err"] > 0 and len(scores.index) == 3


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\[4, 3\], \[3\], \[4\]"):
        Scores().update(torch.zeros(4, 3), torch.zeros(3, dtype=torch.long), torch.arange(4))


SHARES = {"uneven": (7, 30), "one without rows": (37, 0), "one never updated": (37, None)}


def _figures_of_share(rank: int, port: int) -> dict[str, dict[str, float]]:
    """What one of two processes finds when each scores its share of 37 samples."""
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        logits, labels = drawn(37, dtype=torch.bfloat16)
        found = {}
        for name, shares in SHARES.items():
            scores, start = Scores(logits_of=8), 0 if rank == 0 else shares[0]
            if shares[rank] is not None:
                for rows in torch.arange(start, start + shares[rank]).split(5):
                    scores.update(logits[rows], labels[rows], rows)
            found[name] = scores.figures()
            assert scores.index.tolist() == list(range(37)) and torch.equal(scores.logits, logits.half())
        with pytest.raises(UserError, match="0 samples"):
            Scores().figures()
        return found
    finally:
        distributed.destroy_process_group()


def _second(port: int, file: Path) -> None:
    torch.save(_figures_of_share(1, port), file)


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(tmp_path: Path) -> None:
    """This process is the first; the second is started for the test and takes its time to import torch."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    second = multiprocessing.get_context("spawn").Process(target=_second, args=(port, tmp_path / "found"))
    second.start()
    first = _figures_of_share(0, port)
    second.join()
    alone = scored(*drawn(37, dtype=torch.bfloat16)).figures()
    assert first == torch.load(tmp_path / "found") == dict.fromkeys(SHARES, alone)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_figures_of_the_cpu_and_ties_go_to_the_same_class() -> None:
    logits, labels = drawn(5000, classes=20, dtype=torch.bfloat16)
    device, index = Scores().to("cuda"), torch.arange(5000)
    device.update(logits.cuda(), labels.cuda(), index.cuda())
    alone = scored(logits, labels)
    assert device.figures() == pytest.approx(alone.figures(), rel=1e-4)
    assert torch.equal(device.predicted, alone.predicted) and torch.equal(device.correct, alone.correct)
