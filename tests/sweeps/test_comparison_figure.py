"""What comparison.png and curve.png show, leave out and say; read off matplotlib's own objects."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from src.sweeps import compare
from src.sweeps.comparison_figure import draw_comparison
from src.sweeps.figure_choice import left_out, usual_names
from tests.sweeps.test_comparison import add_run

pytestmark = pytest.mark.draws

PARTS = [f"verifier_{part}" for part in ("colour_1", "shape_1", "colour_2", "shape_2", "relation", "clean")]
TINY = [f"{group}/{leaf}" for group in ("eval", "heldout") for leaf in ("clip", "all_right", "verifier", *PARTS)]
TINY += ["diversity/latent", "diversity/latent_heldout", "cost/reward_queries"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: kept.append(figure))
    return kept


def run_of(method: str, *names: str) -> dict[str, object]:
    return {"method": method, "seed": 0, "figures": dict.fromkeys(names, 1.0)}


def test_one_figure_of_each_kind_is_shown_the_ranked_one_first() -> None:
    runs = [run_of("ddpo", *TINY)]
    assert usual_names(runs, "eval/all_right") == ["eval/all_right", "heldout/all_right", "eval/clip", "heldout/clip",
                                                   "eval/verifier", "heldout/verifier", "diversity/latent"]
    (line,) = left_out(runs, usual_names(runs), chosen=False)
    assert "shows 7 of 21 figures, --figures A,B chooses others: not eval/verifier_colour_1" in line
    assert line.endswith("heldout/verifier_shape_1 and 6 more") and not left_out(runs, ["eval/clip"], chosen=True)
    assert usual_names([run_of("ddpo", *TINY[:5])])[3:] == TINY[3:5]  # parts where there is room


def test_a_ranked_figure_of_another_group_is_never_left_out() -> None:
    assert usual_names([run_of("pskd", "test/nll", "speed/best")], "speed/best") == ["speed/best", "test/nll"]


def test_methods_without_the_figures_are_no_empty_rows(drawn: list[Figure], tmp_path: Path) -> None:
    runs = [run_of("b2", "eval/clip"), run_of("ce", "test/nll", "test/ece"), run_of("pskd", "test/nll")]
    names = usual_names(runs, "eval/clip")
    draw_comparison(runs, tmp_path / "x.png", names=names, order=["b2", "pskd", "ce"])
    nll, ece = drawn[0].axes[:2]
    assert [label.get_text() for label in nll.get_yticklabels()] == ["pskd", "ce"]
    assert [axes.get_title(loc="left") for axes in (nll, ece)] == ["NLL (nats) ↓", "ECE, 10 bins (%) ↓"]
    for axes in (nll, ece):  # pskd has no ECE: the line is the next one's
        assert sum(line.get_linestyle() == "--" for line in axes.lines) == 1
    assert left_out(runs, names, chosen=True) == [
        "b2 has none of the figures of comparison.png and is left out there: test/nll, test/ece"]


def test_long_labels_are_wrapped_and_titles_stay_in_their_panels(drawn: list[Figure], tmp_path: Path) -> None:
    label = "b2diffurl, method.interval.shape=constant, method.interval.start=10, method.interval.end=null"
    names = ["heldout/a_name_of_a_figure_1", "heldout/a_name_of_a_figure_2"]
    draw_comparison([run_of(label, *names), run_of("ddpo", *names)], tmp_path / "x.png", names=names)
    (figure,) = drawn
    figure.draw_without_rendering()
    first, second = figure.axes[:2]
    assert first._left_title.get_window_extent().x1 < second._left_title.get_window_extent().x0
    assert first.get_window_extent().x0 < 0.6 * figure.bbox.x1 and "\n" in first.get_yticklabels()[0].get_text()


def test_no_curve_is_under_its_legend(drawn: list[Figure], tmp_path: Path) -> None:
    for method in ("pskd", "crossentropy"):
        folder = add_run(tmp_path / method, method, 0, **{"test/nll": 1.0})
        (folder / "metrics.csv").write_text("epoch,val/nll,cost/samples\n0,3,1\n1,2,2\n2,1,3\n")
    assert compare.run([str(tmp_path), "--curve", "val/nll", "--against", "epoch, cost/samples"]) == 0
    figure = drawn[1]
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_legend().get_window_extent()
        assert box.x0 >= axes.get_window_extent().x1 and box.x1 <= figure.bbox.x1
    assert len(figure.axes) == 2


def test_the_command_line_tells_what_it_leaves_out_and_takes_spaces(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(tmp_path / "a", "ddpo", 0, "reward: {name: jpeg}", **{
        **{f"{name}_after": 1.0 for name in TINY}, "eval/jpeg_after": 2.0})
    assert compare.run([str(tmp_path)]) == 0
    assert "shows 8 of 23 figures" in capsys.readouterr().err  # the reward is one of the eight
    assert compare.run([str(tmp_path), "--figures", "eval/clip, heldout/clip,"]) == 0
    assert capsys.readouterr().err == ""
    assert compare.run([str(tmp_path), "--figures", "zzz"]) == 2
    assert "They have eval/clip, eval/all_right" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(tmp_path / "a", "ddpo", 0, **{"eval/clip_after": 1.0})
    (tmp_path / "file").touch()
    assert compare.run([str(tmp_path), "--out", str(tmp_path / "file" / "x")]) == 2
    assert "this folder cannot be written (Not a directory). Name another folder with --out" in capsys.readouterr().err
