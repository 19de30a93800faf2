"""Branch-batched sampling against a loop over branches, same noise: `python -m src.bench.branching [overrides]`.

Prints whether the latents are the same, the ratio of times in one run, and the counted UNet evaluations of both ways.
"""

from __future__ import annotations

import statistics
import sys

import torch

from src.bench.building import built, overrides_given
from src.bench.timing import device, now
from src.methods.b2diffurl.module import B2DiffuRL
from src.methods.b2diffurl.noise import keyed_normal
from src.methods.b2diffurl.sampling import INITIAL, TRUNK
from src.methods.b2diffurl.stage import draw_prompts

REPEATS = 5


@torch.no_grad()
def one_by_one(module: B2DiffuRL, prompt_index: torch.Tensor, slots: torch.Tensor, interval: int) -> torch.Tensor:
    """The authors' way: every branch from its start, one branch number after another; x_0 [N * K, C, H, W]."""
    branches, where = [], module.model.device
    prompt_index, slots = prompt_index.to(where), slots.to(where)
    for branch in range(module.branches):
        key = {"seed": module.seed, "stage": 0, "slots": slots, "device": where}
        trunk, own = torch.full_like(slots, TRUNK), torch.full_like(slots, branch)
        latents = keyed_normal(module.model.latent_shape, branches=trunk, step=INITIAL, **key)
        for step in range(module.steps):
            output = module.denoise(latents, torch.full_like(prompt_index, step), prompt_index)
            number = trunk if step < module.steps - interval else own
            noise = keyed_normal(module.model.latent_shape, branches=number, step=step, **key)
            latents = module.ddim.add_noise(module.ddim.mean(latents, output, step), noise, step)
        branches.append(latents)
    return torch.stack(branches, 1).flatten(0, 1)


def main() -> None:
    module, _ = built(overrides_given(__doc__))
    module.load(device())
    interval = module.interval_of(0)
    prompt_index, slots = draw_prompts(module.prompts_per_stage, len(module.prompts.train), seed=module.seed, stage=0)
    ratios, same, counts = [], True, []
    for repeat in range(REPEATS + 1):
        start, before = now(), module.model.evaluations
        looped = one_by_one(module, prompt_index, slots, interval)
        middle, between = now(), module.model.evaluations
        batched = module.sample_latents(prompt_index, slots, branches=module.branches, interval=interval, stage=0,
                                        seed=module.seed, keep=True).latents
        end, after = now(), module.model.evaluations
        same &= torch.allclose(looped, batched, atol=1e-4)
        counts = [between - before, after - between]
        if repeat:  # the first one warms up
            ratios.append((middle - start) / (end - middle))
    n, k, t = len(slots), module.branches, module.steps
    expected = n * (t - interval + k * interval)
    sys.stdout.write(
        f"{n} trunks x {k} branches, last {interval} of {t} steps branched\n"
        f"same latents (within 1e-4): {same}\n"
        f"UNet evaluations counted: loop {counts[0]:,}, batched {counts[1]:,}; N ((T - s) + K s) = {expected:,}\n"
        f"time of the loop / time batched: median {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f} in {REPEATS} runs)\n"
    )


if __name__ == "__main__":
    main()
