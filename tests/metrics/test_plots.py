"""Every picture is written and shows something, also where there is one sample, no error or no colour."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.font_manager import findfont, get_font
from PIL import Image

from src.core import style
from src.core.errors import UserError
from src.metrics import fonts, functions, plots
from src.metrics.curves import read_columns
from src.metrics.hardest import _caption
from src.metrics.scores import Scores

pytestmark = pytest.mark.draws


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
    drawn(plots.reliability(scores, tmp_path / "new" / "reliability.png", "a title wider than the picture " * 2))
    drawn(plots.risk_coverage({"this run": scores, "": scores.samples}, tmp_path / "risk.png"))


@pytest.mark.parametrize(("scale", "sides"), [(0.5, {style.BLUE}), (9.0, {style.BLUE, style.PALE_ORANGE})])
def test_bars_are_dark_up_to_the_accuracy(scale: float, sides: set[str], tmp_path: Path, monkeypatch) -> None:
    kept, page = [], style.page

    @contextmanager
    def keep(*args, **options):
        with page(*args, **options) as made:
            kept.append(made[1])
            yield made

    monkeypatch.setattr(style, "page", keep)
    scores = Scores()
    labels = torch.arange(60) % 6
    logits = scale * torch.eye(6)[torch.where(torch.arange(60) < 40, labels, 0)]  # 43 of 60 are right
    scores.update(logits, labels, torch.arange(60))
    scores.compute()
    plots.reliability(scores, tmp_path / "reliability.png")
    bins = functions.reliability_bins(scores.confidence, scores.correct, 10)
    dark = [bar for bar in kept[0][0, 0].patches if to_hex(bar.get_facecolor()) == style.BLUE]
    assert max(bar.get_y() + bar.get_height() for bar in dark) == pytest.approx(bins.accuracy.max().item())
    assert {to_hex(bar.get_facecolor()) for bar in kept[0][0, 0].patches} == sides


def of_one_class(name: str, file: Path) -> Path:
    one = torch.zeros(1, dtype=torch.long)
    return plots.hardest(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), one, one, torch.ones(1), [name], file)


@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")
def test_a_name_that_no_font_can_write_becomes_a_number(tmp_path: Path, capsys) -> None:
    file = of_one_class("b\U0010fffd", tmp_path / "hardest.png")
    same = of_one_class("class 0", tmp_path / "same.png")
    assert (drawn(file) == drawn(same)).all()
    told = capsys.readouterr().err
    assert "hardest.png shows numbers, counted from 0: 0 = b" in told and "same.png" not in told


@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")
def test_a_font_that_has_the_characters_is_taken(tmp_path: Path, capsys) -> None:
    own, other = (get_font(findfont(name, fallback_to_default=False)).get_charmap()
                  for name in ("DejaVu Sans", "STIXGeneral"))  # matplotlib brings both
    text = chr(next(code for code in other if code not in own))
    names, missing = fonts.families(f"a {text}")
    assert names[0] != names[-1] and missing == set() and capsys.readouterr().err == ""
    assert drawn(of_one_class(text, tmp_path / "hardest.png")).size


def test_underscores_stay_and_lines_break_behind_them() -> None:
    assert _caption("tri_angle", "tri_angle", 0.5) == "tri_angle\n✓ 50%"
    assert _caption("blue square", "a_long_name_of_a_class", 1.0) == "blue square\n✗ a_long_name_of_\na_class 100%"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 11])
def test_hardest_shows_the_pictures_themselves(channels: int, count: int, tmp_path: Path) -> None:
    scores = scored()
    rows = plots.hardest_rows(scores, count)
    assert torch.equal(scores.nll[rows], scores.nll.sort(descending=True).values[:count])
    pictures = torch.full((count, channels, 8, 8), 128, dtype=torch.uint8)
    pictures[:, :, 2:6, 2:6] = 77  # a value that nothing else on the sheet has
    names = ["face", "a-sub-category-with-a-long-name_and-an-underscore", "c", "d", "e", "f"]
    file = plots.hardest(pictures, scores.label[rows], scores.predicted[rows], scores.confidence[rows], names,
                           tmp_path / "hardest.png", "Hardest")
    assert (drawn(file) == 77).all(axis=-1).mean() > 0.01


def test_hardest_of_nothing_is_an_error(tmp_path: Path) -> None:
    nothing = torch.zeros(0)
    with pytest.raises(UserError, match="0 pictures"):
        plots.hardest(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), nothing, nothing, nothing, [], tmp_path / "h.png")


HEAD = ("step,epoch,train/loss,train/top1_err,val/top1_err,val/ece,pskd/alpha,pskd/gradient_factor_hard,"
        "memory/row_age_mean")
METRICS = f"""{HEAD},test/nll,best/nll
0,-1,9,,,,,,,,
10,0,2.0,80,,,0.4,1,,,
10,0,1.0,,70,5,,,,,
20,1,1.0,60,65,,0.8,0.5,1,,
20,2,,,,,,,,0.9,0.8
30,2,brok"""


def test_curves_draw_the_topics_that_have_points(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(METRICS)
    files = plots.curves(tmp_path / "metrics.csv", tmp_path / "plots")
    assert [file.stem for file in files] == ["loss", "top1_error", "nll", "ece", "alpha", "gradient_factor", "row_age"]
    assert all(drawn(file).size for file in files)
    columns = read_columns(tmp_path / "metrics.csv")
    assert columns["train/loss"] == {0: 1.5, 1: 1.0}  # the mean of an epoch; nothing from before training
    assert columns["val/top1_err"] == {0: 70, 1: 65}


def test_no_metrics_no_curves(tmp_path: Path) -> None:
    assert plots.curves(tmp_path / "metrics.csv", tmp_path) == []
    (tmp_path / "metrics.csv").write_text("")
    assert plots.curves(tmp_path / "metrics.csv", tmp_path) == []
