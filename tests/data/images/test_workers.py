"""Processes that read pictures: as many as a host's cores allow, and none that idle after an evaluation."""

from __future__ import annotations

import multiprocessing

import pytest

from src.core.processes import ranks
from src.data.images import workers
from src.data.images.folder import image_folder


@pytest.mark.parametrize(("cores", "others", "expected"), [
    (4, [], 4), (64, [], 8), (16, [("here", 16)] * 7, 2), (4, [("here", 4)] * 7, 1),
    (16, [("there", 16)] * 7, 8),  # another host's
    (6, [("here", 9)] * 7, 6),  # bound to cores of their own
])
def test_a_host_shares_its_cores(monkeypatch, cores: int, others: list[tuple[str, int]], expected: int) -> None:
    monkeypatch.setattr(workers, "cores", lambda: list(range(cores)))
    monkeypatch.setattr(workers.socket, "gethostname", lambda: "here")
    monkeypatch.setattr(ranks, "gathered", lambda own: [own, *((host, list(range(count))) for host, count in others)])
    assert workers.per_process() == expected


def test_workers_of_an_evaluation_end_with_it(picture_folder) -> None:
    before = set(multiprocessing.active_children())
    data = image_folder(root=str(picture_folder()), size=16, workers=2)
    data.load("cpu")
    alive = []
    for epoch in (0, 1):
        list(data.train_loader(data.order(epoch, seed=0, batch_size=4), epoch=epoch, seed=0))
        list(data.eval_loader("test", batch_size=4))
        alive.append(set(multiprocessing.active_children()) - before)
    assert len(alive[0]) == 2 and alive[0] == alive[1]  # those of training
