"""What can be said of mode=protocol before anything heavy is imported."""

from __future__ import annotations

import importlib.util
from typing import Any

from src.core.errors import describe
from src.methods.b2diffurl.measures.weights import ALEXNET, INCEPTION, problem
from src.models.location import CLIP_FILES, CLIP_PATTERNS, OPEN_CLIP_FILES, OPEN_CLIP_PATTERNS, path_problem


def problems(cfg: dict[str, Any]) -> list[str]:
    """Every problem of the protocol's options, one message each; none in other modes, which use no measure."""
    if cfg.get("mode") != "protocol":
        return []
    images = (cfg.get("method") or {}).get("eval_images")
    found = []
    if isinstance(images, int) and images < 2:
        found.append(describe(f"method.eval_images={images} with mode=protocol", "diversity compares the pictures of "
                              "one prompt", "set it to 2 or more; the paper takes 24 of 45 prompts"))
    rules = {"ClipDiversity": _clip, "Lpips": _lpips, "InceptionScore": _inception, "KlToBase": _kl}
    for name, node in (cfg.get("measures") or {}).items():
        if isinstance(node, dict):
            where = f"measures.{name}"
            batch = node.get("batch")
            if isinstance(batch, int) and batch < 1:
                found.append(describe(f"{where}.batch={batch}", "must be at least 1", "it is in pictures"))
            rule = rules.get(str(node.get("_target_")).rpartition(".")[2])
            found += [text for text in (rule(node, where, images) if rule else []) if text]
    return found


def _clip(node: dict[str, Any], where: str, images: Any) -> list[str | None]:
    path = node.get("path")
    if path is None:
        return [describe(f"{where}.path=null", "this model names no CLIP (model.clip_path)", "give a folder or hub id")]
    needed = {"transformers": (CLIP_FILES, CLIP_PATTERNS), "open_clip": (OPEN_CLIP_FILES, OPEN_CLIP_PATTERNS)}
    files = needed.get(str(node.get("backend")))
    return [path_problem(path, files[0], f"{where}.path", files[1])] if files and isinstance(path, str) else []


def _lpips(node: dict[str, Any], where: str, images: Any) -> list[str | None]:
    path = node.get("path")
    return [problem(ALEXNET, path)] if path is None or isinstance(path, str) else []


def _inception(node: dict[str, Any], where: str, images: Any) -> list[str | None]:
    path = node.get("path")
    missing = None
    if importlib.util.find_spec("torch_fidelity") is None:
        missing = describe(where, "needs the package torch-fidelity, which is not installed",
                           f"run pip install -e '.[fidelity]', or leave it out: ~{where}")
    return [missing, problem(INCEPTION, path) if path is None or isinstance(path, str) else None]


def _kl(node: dict[str, Any], where: str, images: Any) -> list[str | None]:
    count = node.get("images")
    if not isinstance(count, int) or not isinstance(images, int) or 1 <= count <= max(images, 2):
        return []
    return [describe(f"{where}.images={count}", f"must lie between 1 and method.eval_images={images}",
                     f"~{where} leaves it out")]
