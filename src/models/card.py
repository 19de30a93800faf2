"""The model card of exported weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_LORA = """pipeline = {pipeline}.from_pretrained("{base}"{options})
pipeline.load_lora_weights("<this folder>")"""
_FULL = """unet = UNet2DConditionModel.from_pretrained("<this folder>", subfolder="unet")
pipeline = {pipeline}.from_pretrained("{base}", unet=unet{options})"""


def write_card(folder: Path, *, name: str, base: str, licence: str, adapter: str, pipeline: str, method: str,
               command: str, figures: Mapping[str, float]) -> Path:
    """Writes README.md: base model, method, command, figures, how to load, licence. Returns its path."""
    lora = adapter != "full"
    classes = pipeline if lora else f"{pipeline}, UNet2DConditionModel"
    options = ", safety_checker=None" if pipeline == "StableDiffusionPipeline" else ""  # SDXL has no checker
    lines = [
        "---", "library_name: diffusers", "pipeline_tag: text-to-image", f"base_model: {base}",
        "tags:", *(["- lora"] if lora else []), "- stable-diffusion", "- reinforcement-learning", "---", "",
        f"# {name}, {method or 'trained'} ({adapter})", "",
        f"- Base model: `{base}`", f"- Trained part: {'LoRA on the UNet, ' + adapter if lora else 'the whole UNet'}",
        *([f"- Method: {method}"] if method else []), "",
        *(["Command:", "", "```", command, "```", ""] if command else []),
        *figure_table(figures),
        "## Load", "", "```python", f"from diffusers import {classes}", "",
        (_LORA if lora else _FULL).format(base=base, pipeline=pipeline, options=options), "```", "",
        "## Licence", "",
        f"These weights derive from the base model, whose licence is: {licence}. It binds these too.", "",
    ]
    card = folder / "README.md"
    card.write_text("\n".join(lines), encoding="utf-8")
    return card


def figure_table(figures: Mapping[str, float]) -> list[str]:
    """A section with a row for each figure; empty if there are none."""
    if not figures:
        return []
    rows = [f"| {name} | {value:.4g} |" for name, value in sorted(figures.items())]
    return ["## Figures", "", "| figure | value |", "|---|---|", *rows, ""]
