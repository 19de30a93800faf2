"""Every picture is written and shows something, also where there is one sample, no error or no colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.core.errors import UserError
from src.metrics import figures
from src.metrics.curves import read_columns
from src.metrics.scores import Scores


def scored(n: int = 200, classes: int = 6, scale: float = 2.0, right: bool | None = None) -> Scores:
    generator = torch.Generator().manual_seed(n)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = scale * torch.randn(n, classes, generator=generator)
    if right is not None:
        logits = 30.0 * torch.eye(classes)[labels if right else (labels + 1) % classes]
    scores = Scores()
    scores.update(logits, labels, torch.arange(n))
    scores.compute()
    return scores


def drawn(file: Path) -> np.ndarray:
    """The picture's pixels; fails if it is blank."""
    pixels = np.asarray(Image.open(file).convert("RGB"))
    assert pixels.std() > 5 and min(pixels.shape[:2]) > 150
    return pixels


KINDS = {"usual": {}, "one": {"n": 1}, "no errors": {"right": True}, "all errors": {"right": False},
         "under-confident": {"scale": 0.1}, "two classes": {"classes": 2}}


@pytest.mark.parametrize("kind", KINDS)
def test_reliability_and_risk_of_any_outcome(kind: str, tmp_path: Path) -> None:
    scores = scored(**KINDS[kind])
    drawn(figures.reliability(scores, tmp_path / "new" / "reliability.png", "a title wider than the picture " * 2))
    drawn(figures.risk_coverage({"this run": scores, "": scores.samples}, tmp_path / "risk.png"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 11])
def test_hardest_shows_the_pictures_themselves(channels: int, count: int, tmp_path: Path) -> None:
    scores = scored()
    rows = figures.hardest_rows(scores, count)
    assert torch.equal(scores.nll[rows], scores.nll.sort(descending=True).values[:count])
    pictures = torch.full((count, channels, 8, 8), 128, dtype=torch.uint8)
    pictures[:, :, 2:6, 2:6] = 77  # a value that nothing else on the sheet has
    names = ["face", "a-sub-category-with-a-long-name_and-an-underscore", "c", "d", "e", "f"]
    file = figures.hardest(pictures, scores.label[rows], scores.predicted[rows], scores.confidence[rows], names,
                           tmp_path / "hardest.png", "Hardest")
    assert (drawn(file) == 77).all(axis=-1).mean() > 0.01


def test_hardest_of_nothing_is_an_error(tmp_path: Path) -> None:
    nothing = torch.zeros(0)
    with pytest.raises(UserError, match="0 pictures"):
        figures.hardest(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), nothing, nothing, nothing, [], tmp_path / "h.png")


HEAD = "step,epoch,train/loss,train/top1_err,val/top1_err,val/ece,pskd/alpha,pskd/grad_factor_hard,memory/age_mean"
METRICS = f"""{HEAD},test/nll,best/nll
0,-1,9,,,,,,,,
10,0,2.0,80,,,0.4,1,,,
10,0,1.0,,70,5,,,,,
20,1,1.0,60,65,,0.8,0.5,1,,
20,2,,,,,,,,0.9,0.8
30,2,brok"""


def test_curves_draw_the_topics_that_have_points(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(METRICS)
    files = figures.curves(tmp_path / "metrics.csv", tmp_path / "plots")
    assert [file.stem for file in files] == ["loss", "top1_error", "nll", "ece", "alpha", "gradient_factor", "row_age"]
    assert all(drawn(file).size for file in files)
    columns = read_columns(tmp_path / "metrics.csv")
    assert columns["train/loss"] == {0: 1.5, 1: 1.0}  # the mean of an epoch; nothing from before training
    assert columns["val/top1_err"] == {0: 70, 1: 65}


def test_no_metrics_no_curves(tmp_path: Path) -> None:
    assert figures.curves(tmp_path / "metrics.csv", tmp_path) == []
    (tmp_path / "metrics.csv").write_text("")
    assert figures.curves(tmp_path / "metrics.csv", tmp_path) == []
