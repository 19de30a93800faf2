"""B²-DiffuRL's choices against the plain way, on the embedded model (or the one that overrides name)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import LongTensor

from src.bench.branching import one_by_one
from src.bench.building import built
from src.bench.timing import Result, compared, device, skipped
from src.core import compiler
from src.methods.b2diffurl import auto_sizes
from src.methods.b2diffurl.module import B2DiffuRL
from src.methods.b2diffurl.stage import draw_prompts
from src.methods.b2diffurl.update import Kept, log_prob, pairs_of

Module = B2DiffuRL
TRAINED = 5  # steps of the update that is timed


def loaded(overrides: Sequence[str]) -> Module:
    """The method of these overrides with its weights."""
    module, _ = built(overrides)
    module.load(device())
    auto_sizes.settle(module, training=True)
    return module


def cases(overrides: Sequence[str]) -> Iterator[Result]:
    """Every comparison, one after the other."""
    module = loaded(overrides)
    yield batched_pairs(module)
    yield branches(module)
    yield embeddings(module)
    yield channels_last(module)
    for dtype in ("bfloat16", "float16"):
        yield precision(module, overrides, dtype)
    yield from compilation(module)


def sampled(module: Module, *, trunks: int, branches: int, interval: int, keep: bool = True):
    """A rollout of that size with the noise of stage 0."""
    prompt_index, slots = draw_prompts(trunks, len(module.prompts.train), seed=0, stage=0)
    return module.sample_latents(prompt_index, slots, branches=branches, interval=interval, stage=0, seed=0, keep=keep)


def batched_pairs(module: Module) -> Result:
    """Forward and backward of all (sample, step) pairs in micro-batches, or pair after pair."""
    steps = min(TRAINED, module.steps)
    rolled = sampled(module, trunks=4, branches=2, interval=steps)
    chosen = torch.arange(len(rolled.latents), device=device())
    kept = Kept.of(rolled, chosen, torch.ones(len(chosen), device=device()), module.usable)
    pairs = len(kept) * len(kept.step_indices)

    def update(micro_batch: int) -> None:
        for part in pairs_of(chosen, len(kept.step_indices), micro_batch):
            (log_prob(module.denoise, module.ddim, kept, part).sum() / pairs).backward()
        module.unet.zero_grad(set_to_none=True)

    size = min(module.micro_batch, pairs)
    return compared("update: pairs in micro-batches", "speed", ("one pair after another", lambda: update(1)),
                    (f"{size} at once", lambda: update(size)), note=f"{pairs} (sample, step) pairs")


def branches(module: Module) -> Result:
    """A stage's rollout with shared trunks, or every branch from its start."""
    interval = module.interval_of(0)
    prompt_index, slots = draw_prompts(module.prompts_per_stage, len(module.prompts.train), seed=0, stage=0)
    size = {"trunks": module.prompts_per_stage, "branches": module.branches, "interval": interval}
    return compared("rollout: branches in one batch", "speed",
                    ("branch after branch from the start", lambda: one_by_one(module, prompt_index, slots, interval)),
                    ("shared trunks, one batch", lambda: sampled(module, **size)), repeats=9,
                    note=f"{size['trunks']} x {size['branches']}, last {interval} of {module.steps} steps")


def embeddings(module: Module) -> Result:
    """A rollout whose prompts are embedded anew for each picture, as the pipeline does, or once for the run."""
    size = {"trunks": module.prompts_per_stage, "branches": module.branches, "interval": module.interval_of(0)}
    words = [module.words[i % len(module.words)] for i in range(size["trunks"] * size["branches"])]
    return compared("rollout: text embeddings kept", "speed",
                    ("embedded for each picture", lambda: (module.model.encode_prompts(words),
                                                           sampled(module, **size))),
                    ("embedded once a run", lambda: sampled(module, **size)), repeats=9)


def rows(module: Module, count: int | None = None) -> tuple[torch.Tensor, LongTensor, LongTensor]:
    """Latents, steps and prompts for one evaluation of the UNet."""
    count = count or min(module.rollout_batch, 96)
    chance = torch.Generator().manual_seed(0)
    latents = torch.randn(count, *module.model.latent_shape, generator=chance)
    return (latents.to(device()), torch.randint(module.steps, (count,), generator=chance).to(device()),
            torch.randint(len(module.prompts.train), (count,), generator=chance).to(device()))


def denoised(module: Module, given: tuple) -> None:
    with torch.no_grad():
        module.denoise(*given)


def channels_last(module: Module) -> Result:
    """The UNet's weights in channels_last, as the project has them, or as they come."""
    other = copy.copy(module.model)
    other.unet = copy.deepcopy(module.unet).to(memory_format=torch.contiguous_format)
    latents, step, prompt = rows(module)
    text, timesteps = module.embeddings[prompt], module.ddim.timesteps[step]

    def once(model) -> None:
        with torch.no_grad():
            model.denoise(latents, timesteps, text, module.guidance_scale)

    return compared("UNet: channels_last", "speed", ("contiguous", lambda: once(other)),
                    ("channels_last", lambda: once(module.model)), note=f"{len(latents)} rows, no gradient")


def precision(module: Module, overrides: Sequence[str], dtype: str) -> Result:
    """float32 over a half precision."""
    name = f"UNet: {dtype}"
    if dtype == "float16" and device().type == "cpu":
        return skipped(name, "a CPU has no fast float16")
    half, given = loaded([*overrides, f"model.dtype={dtype}"]), rows(module)
    return compared(name, "speed", (str(module.model.dtype).removeprefix("torch."), lambda: denoised(module, given)),
                    (dtype, lambda: denoised(half, given)), note=f"{len(given[0])} rows, no gradient")


def compilation(module: Module) -> Iterator[Result]:
    """The UNet as torch.compile makes it; compiling itself is not in the ratio."""
    names = ("UNet: compiled, no gradient", "UNet: compiled, forward and backward")
    if missing := compiler.problems("method.compile", True):
        yield from (skipped(name, missing[0]) for name in names)
        return
    fast, given = copy.copy(module), rows(module)
    fast.model = copy.copy(module.model)
    fast.model.unet = copy.deepcopy(module.unet)
    fast.model.compile()

    def trained(of: Module) -> None:
        of.denoise(*given).square().mean().backward()
        of.model.unet.zero_grad(set_to_none=True)

    for name, work in zip(names, (lambda of: denoised(of, given), trained), strict=True):
        yield compared(name, "speed", ("eager", lambda work=work: work(module)),
                       ("compiled", lambda work=work: work(fast)), note=f"{len(given[0])} rows")
