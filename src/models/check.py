"""What can be said about a model's options before anything is loaded. Imports nothing heavy."""

from __future__ import annotations

import json
from typing import Any

from src.models.classifiers.check import network_problems
from src.models.location import PIPELINE_FILES, PIPELINE_PATTERNS, local_path, path_problem

# What the nearest relatives of StableDiffusionPipeline have more than text goes into.
_OTHERS = {
    "StableDiffusionXLPipeline": ", which has two text encoders",
    "StableDiffusionInpaintPipeline": ", whose UNet takes a mask too",
    "StableDiffusionUpscalePipeline": ", whose UNet takes a small picture too",
    "StableDiffusionDepth2ImgPipeline": ", whose UNet takes a depth map too",
    "StableDiffusionInstructPix2PixPipeline": ", whose UNet takes a picture too",
}


def check(cfg: dict[str, Any]) -> list[str]:
    """Every problem of `cfg["model"]`, one message each: value, rule, fix."""
    model = cfg.get("model") or {}
    target = str(model.get("_target_", ""))
    if target.endswith(".Network"):
        return network_problems(model)
    if not target.endswith(".DiffusionModel"):
        return []
    return [*_number_problems(model), *_precision_problems(model, cfg.get("trainer") or {}), *_path_problems(model)]


def _number_problems(model: dict[str, Any]) -> list[str]:
    problems = []
    for key, least, fix in (("lora_rank", 0, "Use 4, or 0 to train the whole UNet."),
                            ("vae_batch", 1, "Use 8, or 1 for the least memory."),
                            ("steps", 1, "Use 20, or null to leave it to the method.")):
        value = model.get(key)
        if isinstance(value, int) and value < least:
            problems.append(f"model.{key}={value}: must be at least {least}. {fix}")
    alpha = model.get("lora_alpha")
    if isinstance(alpha, int | float) and alpha <= 0:
        problems.append(f"model.lora_alpha={alpha}: must be above 0. Use null for alpha = rank.")
    if model.get("lora_rank") and model.get("lora_targets") == []:
        problems.append("model.lora_targets=[]: LoRA needs a module to sit on. Use [to_q,to_k,to_v,to_out.0].")
    return problems


def _precision_problems(model: dict[str, Any], trainer: dict[str, Any]) -> list[str]:
    """Of what decides the precision, and of what a device can do."""
    problems = []
    precision, dtype = trainer.get("precision"), model.get("dtype")
    if precision is not None and str(precision) not in ("32", "32-true"):
        problems.append(f"trainer.precision={precision}: a diffusion model's precision is model.dtype={dtype}, and "
                        "what is trained stays in float32. Use trainer.precision=32-true and model.dtype=bfloat16.")
    if dtype == "float16" and trainer.get("accelerator") == "cpu":
        problems.append("model.dtype=float16 with trainer.accelerator=cpu: a CPU has no fast float16. "
                        "Use model.dtype=float32 or bfloat16, or trainer=gpu.")
    return problems


def _path_problems(model: dict[str, Any]) -> list[str]:
    path = model.get("path") or model.get("hub")
    if path is None:
        return ["model.path is null and model.hub too: give a diffusers folder or a hub id."]
    if not isinstance(path, str):
        return []  # the type check says so
    if problem := path_problem(path, PIPELINE_FILES, "model.path", PIPELINE_PATTERNS):
        return [problem]
    folder = local_path(path)
    return [] if folder is None else _class_problems(path, (folder / "model_index.json").read_text(encoding="utf-8"))


def _class_problems(path: str, index: str) -> list[str]:
    try:
        name = json.loads(index).get("_class_name")
    except (ValueError, AttributeError):
        return [f"model.path={path}: its model_index.json is not a pipeline's description. Save the pipeline again."]
    if name == "StableDiffusionPipeline":
        return []
    return [f"model.path={path}: it holds a {name}{_OTHERS.get(name, '')}. "
            "Give a StableDiffusionPipeline (Stable Diffusion 1.x or 2.x)."]
