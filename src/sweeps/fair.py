"""Whether runs of several methods had the same data, model, length and evaluation, so that their figures compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from src.core import runfolder
from src.core.config.unknown import leaves
from src.sweeps.runs import Run

PARTS = ("data", "model", "scorers")
KEYS = ("method.epochs", "method.stages", "method.batch_size", "method.steps", "method.eta", "method.guidance_scale",
        "method.guidance_rescale", "method.eval_prompts", "method.eval_images")
OF_COST = ("workers", "device", "vae_batch", "gradient_checkpointing", "timeout", "retries")  # the figures are the same
SHOWN = 6


def remarks(runs: Iterable[Run], by: Sequence[str] = ()) -> list[str]:
    """One line if methods differ in what should be equal; runs that ``by`` sets apart in such a key are meant to."""
    first = {run.label: run for run in reversed(list(runs))}
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in first.values():
        config = leaves(runfolder.config(run.folder))
        groups.setdefault(tuple(str(config.get(key)) for key in by if _matters(key)), []).append(config)
    keys = _whole_parts({key for configs in groups.values() for key in _unlike(configs)})
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return [f"methods also differ in {', '.join(keys[:SHOWN])}{more}"] if keys else []


def _unlike(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that matter whose values differ among those that have them."""
    values: dict[str, list[Any]] = {}
    for config in configs:
        for key, value in config.items():
            if _matters(key):
                values.setdefault(key, []).append(value)
    return [key for key, found in values.items() if any(value != found[0] for value in found)]


def _matters(key: str) -> bool:
    part, leaf = key.partition(".")[0], key.rpartition(".")[2]
    of_cost = leaf in OF_COST or (part == "scorers" and leaf == "batch_size")
    return key in KEYS or (part in PARTS and not of_cost)


def _whole_parts(keys: Iterable[str]) -> list[str]:
    """Sorted; a part that is of another class, as data or scorers.clip, instead of its keys."""
    keys = set(keys)
    parts = {key.removesuffix("._target_") for key in keys if key.endswith("._target_")}
    return sorted(parts | {key for key in keys if not key.startswith(tuple(f"{part}." for part in parts))})
