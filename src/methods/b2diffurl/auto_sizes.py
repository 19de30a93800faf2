"""`method.micro_batch=auto` and `method.rollout_batch=auto`: the largest sizes that fit, measured on the loaded model.

A size is chosen once a run, alike on all ranks, and kept in the run's folder: it decides how results are rounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from src.core import atomic, console
from src.core.errors import UserError
from src.core.memory_error import enough_memory
from src.core.processes import neighbours, ranks
from src.core.processes.parts import own_part
from src.methods.b2diffurl import probing
from src.methods.b2diffurl.probing import in_words
from src.models.largest import Line, evened, largest
from src.models.memory import held
from src.models.peak import free_on

AUTO = "auto"
FILE = "sizes.json"  # in the run's folder
SHARE = {"cuda": 0.9}  # of what is free; the allocator keeps more than it is asked for
HOST_SHARE = 0.5  # a host has other things to do, and operations take what is not counted


def enough_for_pairs(module: Any) -> AbstractContextManager[None]:
    """Inside, a device that runs out of memory is told with the size of a micro-batch."""
    return enough_memory("method.micro_batch", module.micro_batch,
                         "lower it, or set model.gradient_checkpointing=true or model.dtype=bfloat16",
                         alone=module.model.sharded)


def enough_for_pictures(module: Any) -> AbstractContextManager[None]:
    """The same for sampling."""
    return enough_memory("method.rollout_batch", module.rollout_batch,
                         "lower it, or method.prompts_per_stage, whose trajectories are kept",
                         alone=module.model.sharded)


def settle(module: Any, *, training: bool) -> None:
    """Puts numbers in place of `auto`: in `rollout_batch`, and where a training begins in `micro_batch`.

    To be called by all ranks, with the model loaded. Random numbers, gradients and counts stay as they are.
    Raises UserError if not even the smallest size fits.
    """
    probes = {"rollout_batch": probing.of_rollout} | ({"micro_batch": probing.of_update} if training else {})
    wanted = [key for key in probes if getattr(module, key) == AUTO]
    if not wanted:
        return
    with ranks.together():
        known = _read(module.run_dir / FILE) if ranks.number() == 0 else {}
    known = ranks.from_first(known)
    for key in wanted:
        if key in known:
            console.note(f"method.{key}: {known[key]}, which this run chose before")
        else:
            known[key] = _chosen(module, key, probes[key])
        setattr(module, key, known[key])
    if ranks.number() == 0:
        atomic.write_text(module.run_dir / FILE, json.dumps(known) + "\n")


def _read(file: Path) -> dict[str, int]:
    try:
        return json.loads(file.read_text()) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(file, f"the sizes that this run chose cannot be read ({error})",
                        "give them as method.micro_batch and method.rollout_batch, or remove the file") from error


def _chosen(module: Any, key: str, probe: Callable[[Any], list[Line]]) -> int:
    """The size that fits on every rank, and a line about it."""
    most, step = most_of(module)[key], module.choice.group if key == "micro_batch" else 1
    with ranks.together():
        with probing.no_trace(module):
            lines = probe(module)
        free = free_on(module.model.device)
    share = SHARE.get(module.model.device.type, HOST_SHARE / ranks.count()) / neighbours.count()
    reserved = reserve(module)
    room = share * free - reserved
    fits = min(ranks.gathered(largest(room, *lines, most=most, step=step)))
    size = evened(fits, most, step) if key == "micro_batch" else fits
    many = "more are of no use" if fits >= most else f"{fits} fit"
    console.note(f"method.{key}: auto chose {size}; {many}, at {in_words(lines[0].each)} each in {in_words(room)} "
                 f"({share:.0%} of {in_words(free)} free, less {in_words(reserved)} for trajectories and optimiser)")
    return size


def most_of(module: Any) -> dict[str, int]:
    """The largest sizes that are of use: all pairs of an update, all pictures of a stage, on one rank."""
    trunks = ranks.largest_share(module.prompts_per_stage)
    samples = min(module.samples_per_update, trunks * module.kept_per_trunk)
    return {"micro_batch": samples * min(_longest(module), module.usable), "rollout_batch": trunks * module.branches}


def reserve(module: Any) -> int:
    """Bytes that are not taken yet and will be: a stage's trajectories; for all that is trained a gradient, AdamW's two
    moments, and DDP's copy of the gradients. Where processes share the weights, of this one's part."""
    trunks = ranks.largest_share(module.prompts_per_stage)
    latents = held(trunks * module.branches, trunks * module.kept_per_trunk, _longest(module))
    trained = sum(own_part(parameter).nbytes for parameter in module.model.trainable_parameters())
    copied = ranks.count() > 1 and not module.model.sharded
    return latents * 4 * math.prod(module.model.latent_shape) + (4 if copied else 3) * trained


def _longest(module: Any) -> int:
    """Steps of the longest interval."""
    return max(module.interval_of(stage) for stage in range(module.stages))
