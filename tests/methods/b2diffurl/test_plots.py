"""The curves of a run: what is drawn how."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from src.core import style
from src.methods.b2diffurl.plots import draw_plots


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures as they were drawn, in the order of the files."""
    kept, sheet = [], style.sheet

    @contextmanager
    def keep(*args, **options):
        with sheet(*args, **options) as figure:
            kept.append(figure)
            yield figure

    monkeypatch.setattr(style, "sheet", keep)
    return kept


def drawn(columns: list[str], folder: Path) -> list[str]:
    """The names of the pictures of a run with these columns."""
    columns = ["cost/reward_queries", *columns]
    (folder / "metrics.csv").write_text("\n".join([",".join(columns), ",".join(["1"] * len(columns))]))
    return [file.stem for file in draw_plots(folder / "metrics.csv", folder)]


@pytest.mark.parametrize("attributes", [6, 12])
def test_a_figure_has_one_colour_and_is_dashed_on_held_out_prompts(attributes: int, tmp_path: Path,
                                                                   kept: list[Figure]) -> None:
    names = ["verifier", *(f"verifier_{number}" for number in range(attributes))]
    files = drawn([f"{split}/{name}" for split in ("eval", "heldout") for name in names], tmp_path)
    lines = {line.get_label(): line for line in kept[files.index("details")].axes[0].lines}
    assert len(lines) == 2 * attributes
    assert len({to_hex(line.get_color()) for line in lines.values()}) == attributes
    for name in names[1:]:
        trained, heldout = lines[f"eval/{name}"], lines[f"heldout/{name}"]
        assert to_hex(trained.get_color()) == to_hex(heldout.get_color())
        assert (trained.get_linestyle(), heldout.get_linestyle()) == ("-", "--")


def test_each_scorer_has_a_panel_and_a_scale_of_its_own(tmp_path: Path, kept: list[Figure]) -> None:
    files = drawn(["reward/mean", "eval/clip", "heldout/clip", "eval/mix", "eval/mix_clip"], tmp_path)
    panels = [[line.get_label() for line in axes.lines] for axes in kept[files.index("rewards")].axes]
    assert panels == [["eval/clip", "heldout/clip"], ["eval/mix"], ["reward/mean"], []]
