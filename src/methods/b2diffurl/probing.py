"""What sampling and an update take of the device's memory, measured on the loaded model with one and with two at once.

Only the model's own work is done: no picture is scored, no weight moves, no random number is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from src.core.errors import UserError
from src.core.memory_error import is_about_memory
from src.methods.b2diffurl.update import Kept, Pairs, policy
from src.models.largest import Line
from src.models.peak import peak_of

PICTURES = 8  # float32 pictures for each one that is decoded and scored: three for decoding, the rest for a scorer


def of_update(module: Any) -> list[Line]:
    """Forward and backward of one group of pairs and of two, beside the gradients of earlier micro-batches."""
    parameters = module.model.trainable_parameters()

    def work(pairs: int) -> None:
        with torch.enable_grad():
            policy(module.denoise, module.ddim, *_pairs(module, pairs))[1].sum().backward()

    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    group = module.choice.group
    return [_line(module, "micro_batch", work, group)]


def _pairs(module: Any, count: int) -> tuple[Kept, Pairs]:
    """Samples of zeros with one step each, and the pairs that they make."""
    device = module.model.device
    rows, none = torch.arange(count, device=device), torch.zeros(count, device=device)
    first = torch.zeros(count, dtype=torch.int64, device=device)
    trajectory = torch.zeros(count, 2, *module.model.latent_shape, device=device)
    return Kept(trajectory, none[:, None], none, first, first[:1]), Pairs(rows, first, count)


@torch.no_grad()
def of_rollout(module: Any) -> list[Line]:
    """Denoising a picture, and decoding one: of those beyond `vae_batch` only the results are held at once."""
    model, device = module.model, module.model.device

    def denoise(pictures: int) -> None:
        first = torch.zeros(pictures, dtype=torch.int64, device=device)
        module.denoise(torch.zeros(pictures, *model.latent_shape, device=device), first, first)

    def decode(pictures: int) -> None:
        model.decode(torch.zeros(pictures, *model.latent_shape, device=device))

    decoding = _line(module, "rollout_batch", decode, 1)
    picture = 4 * 3 * math.prod(model.vae_scale * side for side in model.latent_shape[1:])
    finished = Line(model.vae_batch, decoding.at(model.vae_batch), PICTURES * picture)
    return [_line(module, "rollout_batch", denoise, 1), finished]


def _line(module: Any, key: str, work: Callable[[int], None], size: int) -> Line:
    """Through the peaks with `size` and with twice as much; a larger size that does not fit is infinite. Not where
    weights are shared: a call that was broken off leaves the other ranks waiting, so that both sizes have to fit."""
    shared, peaks = module.model.sharded, []
    for rows in (size, 2 * size):
        try:
            peaks.append(peak_of(partial(work, rows), module.model.device))
        except RuntimeError as error:
            if not is_about_memory(error):
                raise
            if peaks and not shared:
                return Line.through(size, peaks[0], rows, math.inf)
            problem = UserError(f"method.{key}=auto", f"not even {rows} at once fits into the device's memory",
                                "set model.gradient_checkpointing=true, model.dtype=bfloat16 or a smaller "
                                f"model.resolution{f', or method.{key}={size}' if peaks else ''}")
            problem.alone = shared
            raise problem from error
    return Line.through(size, peaks[0], 2 * size, peaks[1])


@contextmanager
def no_trace(module: Any) -> Iterator[None]:
    """Inside, nothing is compiled; afterwards gradients and the count of evaluations are what they were."""
    if not module.model.sharded:
        module.unet.to(module.model.device)  # Lightning leaves it on the host after a test
    parameters, evaluations = module.model.trainable_parameters(), module.model.evaluations
    gradients = [parameter.grad for parameter in parameters]
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        module.model.evaluations = evaluations
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient


def in_words(count: float) -> str:
    """Bytes as GB or MB."""
    return f"{count / 1e9:.3g} GB" if abs(count) >= 1e9 else f"{count / 1e6:.3g} MB"
