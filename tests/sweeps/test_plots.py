"""Axes of parameters.png, read off matplotlib's own objects: where values stand, what is written, what overlaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.sweeps import plots
from src.sweeps.panels import draw_panel
from src.sweeps.rows import Row, Rows, unrepeated
from src.sweeps.scale import brief, scale_of, shortened

pytestmark = pytest.mark.draws


def row(number: int, value: float | None, seed: int | None = 0, **values: str) -> Row:
    return Row(number, f"{number:03d}", values, seed, "finished", 1.0, {}, value)


def grid(**values: str) -> list[Row]:
    """Every combination of comma-separated values; no two objectives are equal."""
    points = itertools.product(*(text.split(",") for text in values.values()))
    return [row(n, n + 1.0, **dict(zip(values, point, strict=True))) for n, point in enumerate(points)]


@pytest.fixture
def axes() -> Iterator[Axes]:
    """Of a panel's size, drawn by the caller."""
    yield Figure(figsize=(3.9, 2.9), layout="constrained").subplots()


def labels(axes: Axes) -> list[str]:
    """The labels of the horizontal axis, after checking that none runs into its neighbour."""
    axes.figure.draw_without_rendering()
    shown = [label for label in axes.get_xticklabels(which="both") if label.get_text()]
    boxes = [label.get_window_extent() for label in shown]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    return [label.get_text() for label in shown]


@pytest.mark.parametrize(("values", "scale", "expected"), [
    ("1e-3,3e-3", "log", ["1e-3", "3e-3"]),
    ("0.0001,0.001,0.01", "log", ["1e-4", "1e-3", "0.01"]),
    ("0.0,0.3,0.6,0.8,0.95", "linear", ["0", "0.3", "0.6", "0.8", "0.95"]),
    ("1,2,3,4", "linear", ["1", "2", "3", "4"]),
    ("1,2,4,8", "log", ["1", "2", "4", "8"]),
    ("-5,-1,3", "linear", ["-5", "-1", "3"]),
    ("0.1,0.1001,0.7", "log", ["0.1", "0.7"]),
    ("0,1e-4,1e-3", "linear", ["0", "1e-4", "1e-3"]),
    ("7", "linear", ["7"]),
])
def test_ticks_stand_at_the_tried_values(axes: Axes, values: str, scale: str, expected: list[str]) -> None:
    scale_of(values.split(",")).draw(axes)
    assert (axes.get_xscale(), labels(axes)) == (scale, expected)


def test_a_zero_beside_magnitudes_has_a_place_of_its_own() -> None:
    found = scale_of(["1e-3", "0", "1e-4"])
    assert found.places == {"0": 0.0, "1e-4": 1.0, "1e-3": 2.0} and found.ordered


@pytest.mark.parametrize(("low", "high", "log"), [(-3.2, -2.6, True), (-4, -2, True), (-8, 1, True), (0.01, 1, False)])
def test_many_values_get_round_numbers(axes: Axes, low: float, high: float, log: bool) -> None:
    values = [low + (high - low) * place / 30 for place in range(31)]
    texts = [repr(10**value if log else value) for value in values]
    scale_of(texts).draw(axes)
    axes.plot([float(text) for text in texts], values)
    shown = labels(axes)
    assert axes.get_xscale() == ("log" if log else "linear") and 3 <= len(shown) <= 8
    assert all(len(text) <= 6 for text in shown)


def test_numbers_and_names_are_written_briefly() -> None:
    assert [brief(value) for value in (0.001, 0.01, 0.0125, 3000.0, 1e6, -1e-5, 0.0)] == [
        "1e-3", "0.01", "0.0125", "3000", "1e6", "-1e-5", "0"]
    assert shortened(["b2/plain", "b2/both"]) == ["plain", "both"] and shortened(["a/x", "b/x"]) == ["a/x", "b/x"]
    long, other = "start" + "-" * 60 + "end", "start" + "-" * 60 + "END"
    assert shortened([long])[0].endswith("end") and len(shortened([long])[0]) == 30
    assert len(set(shortened([long, other]))) == 2
    same = [f"{'x' * 30}{middle}{'x' * 30}" for middle in "ab"]
    assert shortened(same) == same


def test_seeds_are_dots_side_by_side(axes: Axes) -> None:
    draw_panel(axes, [row(n, float(n), seed) for n, seed in enumerate((10, 2, 0))], "seed", None, "", means=False)
    assert labels(axes) == ["0", "2", "10"]
    assert [line.get_linestyle() for line in axes.lines] == ["None"] and not axes.containers
    assert sorted(zip(axes.lines[0].get_xdata(), axes.lines[0].get_ydata(), strict=True)) == [(0, 2), (1, 1), (2, 0)]


def test_a_run_that_lacks_a_key_is_not_placed_by_its_seed(axes: Axes) -> None:
    draw_panel(axes, [row(0, 1.0, seed=5, lr="0.1"), row(1, 2.0, seed=5)], "lr", None, "", means=True)
    assert labels(axes) == ["0.1", "-"]


@pytest.mark.parametrize("values", [{"lr": "1e-3,3e-3", "kind": "a,b,c"}, {"kind": "a,b", "lr": "1,2,3,4,5,6"}])
def test_lines_of_a_second_parameter_stand_apart_and_their_legend_outside(axes: Axes, values: dict[str, str]) -> None:
    key, other = values
    draw_panel(axes, grid(**values), key, other, "the other", means=True)
    axes.figure.draw_without_rendering()
    at = [line.get_transform().transform(line.get_xydata())[0][0] for line in axes.lines if line.get_marker() == "o"]
    names, legend = values[other].split(","), axes.get_legend()
    assert all(2 < right - left < 16 for left, right in itertools.pairwise(at)) and len(at) == len(names)
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    assert legend.get_window_extent().x1 <= axes.figure.bbox.x1
    assert [entry.get_text() for entry in legend.get_texts()] == names


def test_many_long_names_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: (kept.append(figure), file.touch()))
    names = ",".join(f"folder/a_long_name_of_a_recipe_{n}" for n in range(20))
    rows = grid(experiment=names)
    rows += [row(20 + one.number, -1.0, seed=1, **one.values) for one in rows]
    plots.draw(Rows(rows, "test/nll", "minimize", "grid"), tmp_path)
    (figure,) = kept
    axes = figure.axes[0]
    assert len(labels(axes)) == 20 and axes.get_window_extent().height > 150
    assert axes.get_ylabel() == "test/nll (smaller is better)"
    assert all(label.get_window_extent().y0 > 0 for label in axes.get_xticklabels())


def test_long_names_of_lines_and_of_the_figure_take_no_room_from_the_panels(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: kept.append(figure))
    rows = grid(lr="1,3", name=",".join(f"long_name_number_{n}_of_a_line" for n in range(6)))
    plots.draw(Rows(rows, "eval/a_very_long_name_of_a_reward_with_many_words_after", "maximize", "grid"), tmp_path)
    (figure,) = kept
    figure.draw_without_rendering()
    left, _ = figure.axes
    assert left.get_window_extent().width > 280 and left.yaxis.label.get_window_extent().y0 > 0
    for line in left.lines:  # what was moved aside is still inside
        ends = line.get_transform().transform(line.get_xydata())[:, 0]
        assert left.bbox.x0 < min(ends) and max(ends) < left.bbox.x1


def test_copies_of_a_seed_count_once() -> None:
    rows = [row(0, 1.0, lr="1"), row(1, 2.0, lr="1"), row(2, None, lr="1"), row(3, 3.0, seed=1, lr="1"),
            row(4, 4.0, None), row(5, 5.0, None)]
    assert [one.number for one in unrepeated(rows)] == [1, 3, 4, 5]


