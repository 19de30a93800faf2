"""The model card of exported weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_LORA = """pipeline = {pipeline}.from_pretrained("{base}"{options})
pipeline.load_lora_weights("<this folder>")"""
_FULL = """unet = UNet2DConditionModel.from_pretrained("<this folder>", subfolder="unet")
pipeline = {pipeline}.from_pretrained("{base}", unet=unet{options})"""
_DRAW = """pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, {scheduler})
picture = pipeline(
    {call},
).images[0]"""


def write_card(folder: Path, *, name: str, base: str, licence: str, adapter: str, pipeline: str, method: str,
               facts: Iterable[tuple[str, str]], command: str, figures: Mapping[str, float],
               scheduler: Mapping[str, Any], call: Mapping[str, Any]) -> Path:
    """Writes README.md: base model, method, further facts, command, figures, how to load and draw, licence.

    `scheduler` is what the run's DDIM changes in the base model's settings, `call` what the pipeline is called with to
    draw as the run did; without the latter the card says how to load only. Returns the file's path.
    """
    lora = adapter != "full"
    classes = ["DDIMScheduler"] * bool(call) + [pipeline] + ["UNet2DConditionModel"] * (not lora)
    options = ", safety_checker=None" if pipeline == "StableDiffusionPipeline" else ""  # SDXL has no checker
    lines = [
        "---", "library_name: diffusers", "pipeline_tag: text-to-image", f"base_model: {base}",
        "tags:", *(["- lora"] if lora else []), "- stable-diffusion", "- reinforcement-learning", "---", "",
        f"# {name}, {method or 'trained'} ({adapter})", "",
        f"- Base model: `{base}`", f"- Trained part: {'LoRA on the UNet, ' + adapter if lora else 'the whole UNet'}",
        *([f"- Method: {method}"] if method else []), *(f"- {key.capitalize()}: {value}" for key, value in facts), "",
        *(["Command:", "", "```", command, "```", ""] if command else []),
        *figure_table(figures),
        "## Load", "", "```python", f"from diffusers import {', '.join(classes)}", "",
        (_LORA if lora else _FULL).format(base=base, pipeline=pipeline, options=options),
        *([_DRAW.format(scheduler=_arguments(scheduler, ", "), call=_arguments(call, ",\n    "))] if call else []),
        "```", "",
        "## Licence", "",
        f"These weights derive from the base model, whose licence is: {licence}. It binds these too.", "",
    ]
    card = folder / "README.md"
    card.write_text("\n".join(lines), encoding="utf-8")
    return card


def _arguments(values: Mapping[str, Any], between: str) -> str:
    return between.join(f"{key}={value!r}" for key, value in values.items())


def figure_table(figures: Mapping[str, float]) -> list[str]:
    """A section with a row for each figure; empty if there are none."""
    if not figures:
        return []
    rows = [f"| {name} | {value:.4g} |" for name, value in sorted(figures.items())]
    return ["## Figures", "", "| figure | value |", "|---|---|", *rows, ""]
