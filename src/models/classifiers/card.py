"""The model card of an exported classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from src.models.card import figure_table

_IMPORT = ["import numpy as np", "import timm", "from PIL import Image, ImageOps", "", 'folder = "<this folder>"']
# A picture is opened as the run's evaluation does, which `data.images.decoding` is about.
_LOAD = """
model = timm.create_model("local-dir:" + folder, pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
picture = ImageOps.exif_transpose(Image.open("picture.png"))  # upright
if picture.mode.startswith("I"):  # 16 bits of grey become 8 by their upper byte
    picture = Image.fromarray((np.asarray(picture) >> 8).astype("uint8"))
picture = picture.convert("MODE")
probabilities = model(transform(picture).unsqueeze(0)).softmax(-1)
print(model.pretrained_cfg["label_names"][probabilities.argmax()])"""


def write_card(folder: Path, *, architecture: str, file: Path | None, classes: Sequence[str], channels: int, size: int,
               weights: int, method: str, data: str, command: str, figures: Mapping[str, float],
               licence: str | None) -> Path:
    """Writes README.md: network, data, method, command, figures, how to load, licence. Returns its path.

    `file` is the network's own code if it is not timm's, `licence` that of the weights that training started from.
    """
    lines = [
        "---", "library_name: timm", "pipeline_tag: image-classification", "tags:", "- timm", "- image-classification",
        "---", "", f"# {architecture}{', ' + method if method else ''}", "",
        f"- Network: `{architecture}`, {weights / 1e6:.2f} M parameters",
        f"- Pictures: {channels} x {size} x {size}", f"- Classes: {_listed(classes)}",
        *([f"- Data: {data}"] if data else []), *([f"- Method: {method}"] if method else []), "",
        *(["Command:", "", "```", command, "```", ""] if command else []), *figure_table(figures),
        "## Load", "", "With `timm` and `pillow` installed; the project that trained these weights is not needed.", "",
        "```python", *_snippet(file, "L" if channels == 1 else "RGB"), "```", "",
        "## Licence", "", _licence(licence), ""]
    card = folder / "README.md"
    card.write_text("\n".join(lines), encoding="utf-8")
    return card


def _snippet(file: Path | None, mode: str) -> list[str]:
    load = _LOAD.replace("MODE", mode).splitlines()
    if file is None:
        return [*_IMPORT, *load]
    return ["import sys", "", *_IMPORT, "sys.path.insert(0, folder)",
            f"import {file.stem}  # the network, beside the weights: now timm knows it", *load]


def _listed(classes: Sequence[str], most: int = 12) -> str:
    """The names if they are few; all of them are in config.json."""
    return f"{len(classes)}" + (f" ({', '.join(classes)})" if len(classes) <= most else ", named in `config.json`")


def _licence(licence: str | None) -> str:
    if licence:
        return f"These weights derive from published ones under {licence}. It binds these too, as the data's terms do."
    return "Trained from random weights. This project's licence is MIT; the terms of the data bind these weights too."
