"""What can be said about a model's options before anything is loaded. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from src.core.config import ranges
from src.core.config.ranges import above, at_least
from src.core.errors import describe
from src.core.hub import cached_snapshot
from src.core.places import local_path
from src.models import kinds
from src.models.classifiers.check import network_problems
from src.models.location import path_problem
from src.models.pipelines import PIPELINES, folder_problem, resolution_problem

# The end of a model's target -> the class of pipeline that it takes.
_TRAINED = {".DiffusionModel": "StableDiffusionPipeline", ".StableDiffusionXL": "StableDiffusionXLPipeline"}

RANGES = {
    "lora_rank": at_least(0, "use 4, or 0 to train the whole UNet"),
    "vae_batch": at_least(1, "use 8, or 1 for the least memory"),
    "resolution": at_least(1, "use null for the model's own"),
    "steps": at_least(1, "use 20, or null to leave it to the method"),
    "lora_alpha": above(0, "use null for alpha = rank"),
}


def check(cfg: dict[str, Any]) -> list[str]:
    """Every problem of `cfg["model"]`, one message each: value, rule, fix."""
    if not kinds.fits(cfg):
        return []
    model = cfg.get("model") or {}
    target = str(model.get("_target_", ""))
    if target.endswith(".Network"):
        return network_problems(model)
    pipeline = next((name for end, name in _TRAINED.items() if target.endswith(end)), None)
    if pipeline is None:
        return []
    return [*_number_problems(model), *_precision_problems(model, cfg.get("trainer") or {}),
            *_path_problems(model, pipeline)]


def _number_problems(model: dict[str, Any]) -> list[str]:
    problems = ranges.problems("model", model, RANGES)
    if model.get("lora_rank") and model.get("lora_targets") == []:
        problems.append(describe("model.lora_targets=[]", "LoRA needs a module to sit on",
                                 "use [to_q,to_k,to_v,to_out.0]"))
    return problems


def _precision_problems(model: dict[str, Any], trainer: dict[str, Any]) -> list[str]:
    """Of what decides the precision, and of what a device can do."""
    problems = []
    precision, dtype = trainer.get("precision"), model.get("dtype")
    if precision is not None and str(precision) not in ("32", "32-true"):
        problems.append(describe(f"trainer.precision={precision}", "a diffusion model's precision is "
                                 f"model.dtype={dtype}, and what is trained stays in float32",
                                 "use trainer.precision=32-true and model.dtype=bfloat16"))
    if dtype == "float16" and trainer.get("accelerator") == "cpu":
        problems.append(describe("model.dtype=float16 with trainer.accelerator=cpu", "a CPU has no fast float16",
                                 "use model.dtype=float32 or bfloat16, or trainer=gpu"))
    return problems


def _path_problems(model: dict[str, Any], pipeline: str) -> list[str]:
    """Of the folder or hub id, as far as what lies on this machine tells."""
    path = model.get("path") or model.get("hub")
    if path is None:
        return [describe("model.path=null and model.hub=null", "there is no model to load",
                         "give a diffusers folder or a hub id")]
    if not isinstance(path, str):
        return []  # the type check says so
    wanted = PIPELINES[pipeline]
    folder = local_path(path) or cached_snapshot(path)
    described = folder is not None and (folder / "model_index.json").is_file()
    # Another kind of pipeline also lacks files, which would tell less.
    if described and (problem := folder_problem(path, folder, wanted)):
        return [problem]
    if problem := path_problem(path, wanted.files, "model.path", wanted.patterns):
        return [problem]
    resolution = model.get("resolution")
    if folder is None or not isinstance(resolution, int):
        return []
    return [problem] if (problem := resolution_problem(resolution, folder)) else []
