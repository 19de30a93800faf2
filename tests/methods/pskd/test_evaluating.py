"""What an evaluation leaves behind for each picture."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src.methods.pskd import evaluating
from src.methods.pskd.evaluating import Evaluating
from src.metrics.scores import Scores


def module(paths: list[str]) -> Evaluating:
    made = Evaluating()
    made.data = SimpleNamespace(classes=["cat", "dog"], size_of={"test": 3}.get, files_of=lambda split: paths)
    return made


def test_logits_and_paths_stand_beside_each_pictures_figures(tmp_path: Path) -> None:
    one = module(["val/cat/a.png", "val/cat/Größe.png", "val/dog/c.png"])
    scores, logits = Scores(one._kept_logits), torch.tensor([[0.5, 2.0], [4.0, 1.0]])
    scores.update(logits, torch.tensor([0, 1]), torch.tensor([2, 1]))  # trainer.limit_test_batches: not all of them
    scores.figures()
    scores.samples.save(tmp_path / "test.npz", **one._more(scores))
    with np.load(tmp_path / "test.npz") as stored:
        assert stored["path"].tolist() == ["val/cat/Größe.png", "val/dog/c.png"]
        assert stored["logits"].tolist() == [[4.0, 1.0], [0.5, 2.0]] and stored["predicted"].tolist() == [0, 1]


def test_many_logits_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "MOST_LOGITS", 5)
    one = module([])
    scores = Scores(one._kept_logits)
    scores.update(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0]))
    scores.figures()
    assert one._kept_logits is None and one._more(scores) == {}


@pytest.mark.parametrize(("classes", "told"), [(5, False), (6, True)])
def test_a_top_5_error_needs_more_than_five_classes(classes: int, told: bool) -> None:
    one, scores = module([]), Scores()
    one.data.classes = list(range(classes))
    scores.update(torch.eye(classes), torch.arange(classes), torch.arange(classes))
    assert ("top5_err" in one._figures(scores)) == told and one._figures(scores)["top1_err"] == 0
