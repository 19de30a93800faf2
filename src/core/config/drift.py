"""What a run was made with, by its config.yaml, against what is composed now; pure Python."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from src.core.config.quoting import in_shell, typed

LONGEST = 80  # characters of a value that are told
# What says where a run is and how it goes, not what comes out.
ASIDE = frozenset({"mode", "name", "output_dir", "run_dir", "resume", "ckpt", "card_gb", "prompts", "measures",
                   "trainer", "logger", "callbacks", "jobs", "sweep_dir", "optimized_metric", "optimized_direction"})
SIZES = frozenset({"micro_batch", "rollout_batch", "vae_batch", "eval_batch", "gradient_checkpointing", "compile",
                   "licence", "timeout", "retries"})  # any of them gives the same result up to rounding


def differences(made: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys that both have and whose values differ, with the two. A key on one side alone came with a version; a
    part of another class is one difference; ``${...}`` in ``now`` is compared where it points to."""
    for name in (str(name) for name in now if name in made):
        one, other, path = made[name], now[name], f"{prefix}{name}"
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if _class(one) == _class(other):
                yield from differences(one, other, f"{path}.")
            else:
                yield path, one.get("_target_"), other.get("_target_")
        elif one != other and "${" not in str(other) and name not in SIZES and not name.startswith("_"):
            yield path, one, other


def is_under(path: str, keys: Collection[str]) -> bool:
    """Whether a key is one of these, or part of one, as ``method.interval.start`` of ``method.interval``."""
    return any(path == key or path.startswith(f"{key}.") for key in keys)


def told(path: str, value: Any) -> str:
    """``key=value`` as it has to be typed; a long value cut short."""
    plain = {"None": "null", "True": "true", "False": "false"}.get(str(value), value)
    text = typed(path, value) if isinstance(value, str) else in_shell(f"{path}={plain}")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _class(node: Mapping[str, Any]) -> str | None:
    """Its name alone: files move from version to version."""
    target = node.get("_target_")
    return str(target).rpartition(".")[2] if target else None
