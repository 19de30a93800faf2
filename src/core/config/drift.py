"""What a run was made with, by its config.yaml, against what its overrides make by now."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from src.core import runfolder
from src.core.config import words
from src.core.config.compose import Composed, compose
from src.core.config.quoting import in_shell, notation
from src.core.errors import UserError, describe

TARGET = "_target_"
LONGEST = 80  # characters of a value that are told
# What says where a run is and how it goes, not what comes out.
ASIDE = frozenset({"mode", "name", "output_dir", "run_dir", "resume", "ckpt", "card_gb", "prompts", "measures",
                   "trainer", "logger", "callbacks", "jobs", "sweep_dir", "optimized_metric", "optimized_direction"})
SIZES = frozenset({"micro_batch", "rollout_batch", "vae_batch", "eval_batch", "gradient_checkpointing", "compile",
                   "licence", "timeout", "retries", "device"})  # any gives the same result up to rounding
SCORING = ("reward.", "scorers.")  # their batch_size is of that kind too
OPEN = frozenset({"parts", "options"})  # mappings whose keys are the user's own, one value as a whole


def problems(composed: Composed, run: Path, given: Sequence[str], roots: Sequence[Path], going_on: str) -> list[str]:
    """One line for each value of a run that an edited recipe, or another default, has changed since it was made.

    ``given`` is this command line; what it asks for is no such change. ``going_on`` says what its values go with.
    """
    if composed.problems:  # without the overrides that are wrong
        return []
    changes = differences(runfolder.config(run), _plain(composed))
    found = [change for change in changes if not is_under(change[0], ASIDE)]
    keys = asked(composed, run, given, roots) if found else []
    since = "and a recipe or a default has changed since"
    return [describe(told(path, now), f"the run was made with {told(path, made)}, {since}",
                     f"{either(path, made, now)} {going_on}") for path, made, now in found if not is_under(path, keys)]


def asked(composed: Composed, run: Path, given: Sequence[str], roots: Sequence[Path]) -> list[str]:
    """The keys in which this command line differs from the run's own: typed, or by another group's choice."""
    saved = runfolder.overrides(run)
    new = [words.key(text) for text in words.lasting(given) if text not in saved]
    if not new:
        return []
    try:
        alone = compose(words.lasting(saved), roots)
    except UserError:  # a recipe of the run is gone, and another is given for it
        return list(map(str, composed.cfg))
    return new + [path for path, _, _ in differences(_plain(alone), _plain(composed))]


def differences(made: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys that both have and whose values differ, with the two. A key on one side alone came with a version; a
    part of another class is one difference; ``${...}`` in ``now`` is compared where it points to."""
    for name in (name for name in now if name in made):
        one, other, path = made[name], now[name], f"{prefix}{name}"
        parts = isinstance(one, Mapping) and isinstance(other, Mapping)
        if parts and _class(one) != _class(other):
            yield f"{path}.{TARGET}", one.get(TARGET), other.get(TARGET)
        elif parts and (name not in OPEN or one.keys() == other.keys()):
            yield from differences(one, other, f"{path}.")
        elif one != other and "${" not in str(other) and not _beside(name, prefix):
            yield path, one, other


def is_under(path: str, keys: Collection[str]) -> bool:
    """Whether a key is one of these, or part of one, as ``method.interval.start`` of ``method.interval``."""
    return any(path == key or path.startswith(f"{key}.") for key in keys)


def told(path: str, value: Any) -> str:
    """``key=value`` as it has to be typed; a long value cut short."""
    text = in_shell(f"{path}={notation(value)}")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def either(path: str, made: Any, now: Any) -> str:
    """The fix: what to type for the one value or the other."""
    part, _, last = path.rpartition(".")
    if last == TARGET:
        return f"choose by {part}=..."
    both = told(path, made), told(path, now)
    if last in OPEN or any(text.endswith("...") for text in both):  # too long to be typed, or added to what is there
        return f"put the old value back (the run's config.yaml has it), or type {path}=..."
    return "type " + " or ".join(both)


def _plain(composed: Composed) -> dict[str, Any]:
    return OmegaConf.to_container(composed.cfg, resolve=False)


def _beside(name: str, prefix: str) -> bool:
    """Whether a key changes no result."""
    return name in (TARGET, *SIZES) or (name == "batch_size" and prefix.startswith(SCORING))


def _class(node: Mapping[str, Any]) -> str | None:
    """Its name alone: files move from version to version."""
    target = node.get(TARGET)
    return str(target).rpartition(".")[2] if target else None
