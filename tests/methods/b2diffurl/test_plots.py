"""The curves of a run: what is drawn how."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from src.core import style
from src.methods.b2diffurl.plots import draw_plots


@pytest.mark.parametrize("attributes", [6, 12])
def test_a_figure_has_one_colour_and_is_dashed_on_held_out_prompts(attributes: int, tmp_path: Path,
                                                                   monkeypatch) -> None:
    kept, sheet = [], style.sheet

    @contextmanager
    def keep(*args, **options):
        with sheet(*args, **options) as figure:
            kept.append(figure)
            yield figure

    monkeypatch.setattr(style, "sheet", keep)
    names = ["verifier", *(f"verifier_{number}" for number in range(attributes))]
    columns = ["cost/reward_queries", *(f"{split}/{name}" for split in ("eval", "heldout") for name in names)]
    (tmp_path / "metrics.csv").write_text("\n".join([",".join(columns), ",".join(["1"] * len(columns))]))
    drawn = draw_plots(tmp_path / "metrics.csv", tmp_path)
    lines = {line.get_label(): line for line in kept[[file.stem for file in drawn].index("details")].axes[0].lines}
    assert len(lines) == 2 * attributes
    assert len({to_hex(line.get_color()) for line in lines.values()}) == attributes
    for name in names[1:]:
        trained, heldout = lines[f"eval/{name}"], lines[f"heldout/{name}"]
        assert to_hex(trained.get_color()) == to_hex(heldout.get_color())
        assert (trained.get_linestyle(), heldout.get_linestyle()) == ("-", "--")
