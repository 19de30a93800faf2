"""One artist's drawing of one emoji, out of an unpacked package, as a small opaque picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from src.core.errors import UserError

SIDE = 32  # pixels
PACKAGES = {  # artist: folder of the unpacked package
    "noto": "emoji-datasource-google",
    "twemoji": "emoji-datasource-twitter",
    "fluent": "fluent-emoji-3d",
}
_PICTURES = {"noto": "img/google/64", "twemoji": "img/twitter/64", "fluent": "assets"}


def read_names(source: Path) -> list[dict[str, Any]]:
    """Every base emoji (no skin tones, no components such as hair) in the standard's order.

    Raises UserError if a package is not below `source`.
    """
    for package in PACKAGES.values():
        if not (source / package).is_dir():
            raise UserError(f"--from {source}: there is no folder {package} in it", fix="see README.md for it")
    names = json.loads((source / PACKAGES["noto"] / "emoji.json").read_text(encoding="utf-8"))
    return sorted((one for one in names if one["category"] != "Component"), key=lambda one: one["sort_order"])


def find_drawing(source: Path, artist: str, emoji: dict[str, Any]) -> Path | None:
    """The file of one drawing, None if this artist has not drawn it."""
    folder = source / PACKAGES[artist] / _PICTURES[artist]
    code = emoji["unified"].lower()
    if artist == "fluent":  # with or without the variation selector that asks for colour
        files = [folder / f"{name}.webp" for name in (code, code.replace("-fe0f", ""))]
    else:
        files = [folder / emoji["image"]]
    return next((file for file in files if file.is_file()), None)


def small_picture(file: Path) -> np.ndarray:
    """The drawing on white, uint8 [32, 32, 3]. Colours are weighted by their opacity, or edges would turn dark."""
    with Image.open(file) as opened:
        drawing = opened.convert("RGBA")
    side = max(drawing.size)
    square = Image.new("RGBA", (side, side))
    square.paste(drawing, ((side - drawing.width) // 2, (side - drawing.height) // 2))
    small = square.convert("RGBa").resize((SIDE, SIDE), Image.Resampling.LANCZOS).convert("RGBA")
    white = Image.new("RGBA", small.size, "white")
    white.alpha_composite(small)
    return np.asarray(white.convert("RGB"))
