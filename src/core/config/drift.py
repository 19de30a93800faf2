"""What a run was made with, by its config.yaml, against what its overrides make by now."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from src.core import runfolder
from src.core.config import words
from src.core.config.compose import Composed, compose
from src.core.config.quoting import in_shell, typed
from src.core.errors import describe

TARGET = "_target_"
LONGEST = 80  # characters of a value that are told
# What says where a run is and how it goes, not what comes out.
ASIDE = frozenset({"mode", "name", "output_dir", "run_dir", "resume", "ckpt", "card_gb", "prompts", "measures",
                   "trainer", "logger", "callbacks", "jobs", "sweep_dir", "optimized_metric", "optimized_direction"})
SIZES = frozenset({"micro_batch", "rollout_batch", "vae_batch", "eval_batch", "gradient_checkpointing", "compile",
                   "licence", "timeout", "retries"})  # any of them gives the same result up to rounding


def problems(composed: Composed, run: Path, given: Sequence[str], roots: Sequence[Path]) -> list[str]:
    """One line for each value of a run that an edited recipe, or another default, has changed since it was made.

    ``given`` is this command line. What it asks for is no such change: a key, a part, or by another group's choice.
    """
    if composed.problems:  # without the overrides that are wrong
        return []
    saved = runfolder.overrides(run)
    new = [words.key(text) for text in words.lasting(given) if text not in saved]
    found = [change for change in _changes(composed, run) if not is_under(change[0], new)]
    if found and new:
        alone = list(_changes(compose(words.lasting(saved), roots), run))
        found = [change for change in found if change in alone]
    since = "and a recipe or a default has changed since"
    return [describe(told(path, now), f"the run was made with {told(path, made)}, {since}",
                     f"{either(path, made, now)} to go on") for path, made, now in found]


def differences(made: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys that both have and whose values differ, with the two. A key on one side alone came with a version; a
    part of another class is one difference; ``${...}`` in ``now`` is compared where it points to."""
    for name in (name for name in now if name in made):
        one, other, path = made[name], now[name], f"{prefix}{name}"
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if _class(one) == _class(other):
                yield from differences(one, other, f"{path}.")
            else:
                yield f"{path}.{TARGET}", one.get(TARGET), other.get(TARGET)
        elif one != other and "${" not in str(other) and name not in (TARGET, *SIZES):
            yield path, one, other


def is_under(path: str, keys: Collection[str]) -> bool:
    """Whether a key is one of these, or part of one, as ``method.interval.start`` of ``method.interval``."""
    return any(path == key or path.startswith(f"{key}.") for key in keys)


def told(path: str, value: Any) -> str:
    """``key=value`` as it has to be typed; a long value cut short."""
    plain = {"None": "null", "True": "true", "False": "false"}.get(str(value), value)
    text = typed(path, value) if isinstance(value, str) else in_shell(f"{path}={plain}")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def either(path: str, made: Any, now: Any) -> str:
    """The fix: what to type for the one value or the other."""
    part, _, last = path.rpartition(".")
    return f"choose by {part}=..." if last == TARGET else f"type {told(path, made)} or {told(path, now)}"


def _changes(composed: Composed, run: Path) -> Iterator[tuple[str, Any, Any]]:
    for change in differences(runfolder.config(run), OmegaConf.to_container(composed.cfg, resolve=False)):
        if not is_under(change[0], ASIDE):
            yield change


def _class(node: Mapping[str, Any]) -> str | None:
    """Its name alone: files move from version to version."""
    target = node.get(TARGET)
    return str(target).rpartition(".")[2] if target else None
