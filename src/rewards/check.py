"""What can be said about rewards' options before anything is loaded. Imports nothing heavy."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from src.core.config import asks, ranges
from src.core.config.ranges import at_least
from src.core.errors import describe
from src.core.places import local_path
from src.models import kinds
from src.models.location import CLIP_FILES, CLIP_PATTERNS, OPEN_CLIP_FILES, OPEN_CLIP_PATTERNS, path_problem
from src.rewards import names, parts
from src.rewards.callables import target_problem
from src.rewards.needs import NEEDS

RANGES = {
    "batch_size": at_least(1, "use 64, or less if memory is short"),
    "quality": at_least(1, "DDPO takes 95", at_most=95),
    "words": at_least(1, "64 tokens are a sentence or two"),
    "layer": at_least(0, "40 suits microsoft/deberta-xlarge-mnli"),
    "timeout": at_least(0.001, "it is in seconds"),
    "retries": at_least(0, "0 gives up at the first failure"),
}
BERTSCORE = {"baseline": at_least(0, "null leaves scores as they are", below=1)}


def check(cfg: dict[str, Any]) -> list[str]:
    """Every problem of `cfg["reward"]` and of the scorers, one message each: value, rule, fix."""
    problems: list[str] = []
    seen: list[dict[str, Any]] = []
    places = _places(cfg)
    for where, node in _with_parts(places):
        if node not in seen:
            problems += _problems(node, where)
            seen.append(node)
    return problems + names.problems(places)


def _places(cfg: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The node of each reward that the run would ask, by its place on the command line."""
    if cfg.get("model") and not kinds.fits(cfg):  # they hang on the model, as the CLIP that it names
        return {}
    places = {"reward": cfg.get("reward")} if asks.takes(cfg, "reward") else {}
    if asks.takes(cfg, "scorers"):
        places |= {f"scorers.{name}": node for name, node in (cfg.get("scorers") or {}).items()}
    return {where: node for where, node in places.items() if isinstance(node, dict)}


def _with_parts(places: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A mix before its parts."""
    for where, node in places.items():
        yield where, node
        if isinstance(mixed := node.get("rewards"), dict):
            yield from ((f"{where}.parts.{name}", part) for name, part in mixed.items() if isinstance(part, dict))


def _problems(reward: dict[str, Any], where: str) -> list[str]:
    target = str(reward.get("_target_", ""))
    if not target.startswith("src.rewards."):
        return []
    found = ranges.problems(where, reward, RANGES) + _device(reward, where)
    found += [text for need in NEEDS.get(target, ()) if isinstance(path := reward.get(need.option), str)
              and (text := need.problem(path, where))]
    rules = {"ClipReward": _clip, "HpsReward": _hps, "MixReward": parts.problems, "CallableReward": _callable,
             "HttpReward": _http, "BertScoreReward": _bertscore}
    rule = rules.get(target.rpartition(".")[2])
    return found + (rule(reward, where) if rule else [])


def _device(reward: dict[str, Any], where: str) -> list[str]:
    device = reward.get("device")
    if not isinstance(device, str) or re.fullmatch(r"cpu|mps|(cuda|xpu)(:\d+)?", device):
        return []
    return [describe(f"{where}.device={device}", "is not a device",
                     "write cpu, cuda, cuda:1, or null for the run's own")]


def _clip(reward: dict[str, Any], where: str) -> list[str]:
    path, open_clip = reward.get("path"), reward.get("backend") == "open_clip"
    if not path:
        return [f"{where}.path is null: this model names no CLIP (model.clip_path). Give a folder or a hub id, "
                "or choose reward=clip_vit_l14."]
    if open_clip and (missing := _open_clip_missing(f"{where}.backend=open_clip")):
        return [f"{missing[0]} (or use {where}.backend=transformers)."]
    if not isinstance(path, str):
        return []  # the type check says so
    if open_clip and (file := local_path(path)) is not None and file.is_file():
        return []
    needed = (OPEN_CLIP_FILES, OPEN_CLIP_PATTERNS) if open_clip else (CLIP_FILES, CLIP_PATTERNS)
    problem = path_problem(path, needed[0], f"{where}.path", needed[1])
    return [problem] if problem else []


def _open_clip_missing(what: str) -> list[str]:
    if importlib.util.find_spec("open_clip") is not None:
        return []
    return [f"{what} needs the package open_clip_torch, which is not installed. Run: pip install -e '.[openclip]'"]


def _hps(reward: dict[str, Any], where: str) -> list[str]:
    return _open_clip_missing(where if where != "reward" else "reward=hps")


def _callable(reward: dict[str, Any], where: str) -> list[str]:
    target = reward.get("target")
    if target is None:
        return [describe(f"{where}.target=null", "names the function that scores",
                         f"add {where}.target=my_module.my_function")]
    options = found if isinstance(found := reward.get("options"), dict) else {}
    problem = target_problem(target, f"{where}.target", options) if isinstance(target, str) else None
    return [problem] if problem else []


def _http(reward: dict[str, Any], where: str) -> list[str]:
    url = reward.get("url")
    if not isinstance(url, str):
        return []
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number
        fine = False
    return [] if fine else [describe(f"{where}.url={url}", "is not an address", "write http://127.0.0.1:8085")]


def _bertscore(reward: dict[str, Any], where: str) -> list[str]:
    found = ranges.problems(where, reward, BERTSCORE)
    if isinstance(text := reward.get("reference"), str) and "{prompt}" not in text:
        found.append(describe(f"{where}.reference={text}", "does not contain the prompt", "write {prompt} into it"))
    return found
