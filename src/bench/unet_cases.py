"""Stable Diffusion 1.x's UNet with random weights: how fast, and how much of the card it uses.

On a CPU the same architecture at an eighth of its width, on smaller pictures: that runs the code and says nothing of a
card. Nothing is downloaded; speed does not depend on what the weights are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from src.bench.timing import Result, compared, device, seconds, skipped
from src.core import compiler
from src.methods.b2diffurl.ddim import Ddim
from src.methods.b2diffurl.sampling import rollout
from src.models.diffusion import ATTENTION
from src.models.lora import add_lora
from src.models.norms import keep_half

# SD 1.x's unet/config.json where it differs from the class's defaults
CONFIG: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8,
                          "block_out_channels": (320, 640, 1280, 1280)}
TINY = CONFIG | {"sample_size": 16, "block_out_channels": (40, 80, 160, 160), "norm_num_groups": 8}
TOKENS, BATCH, STEPS, REPEATS = 77, 32, 4, 7
# Dense half-precision multiply-adds with float32 sums, in FLOP/s, by a part of the card's name; vendors' data sheets.
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12,
         "RTX 4090": 165e12, "V100": 125e12, "T4": 65e12}


@dataclass(frozen=True)
class Speed:
    """One way to run the UNet on a batch."""

    name: str
    pictures: int
    seconds: float  # median
    flops: int  # counted, of one call
    peak: float | None  # FLOP/s of the card, None if it is not in the table
    memory: int | None  # bytes, largest allocated; None on a CPU

    @property
    def utilisation(self) -> float | None:
        """Model FLOP utilisation: counted operations a second over the card's peak."""
        return None if self.peak is None else self.flops / self.seconds / self.peak


def peak_of(name: str) -> float | None:
    """FLOP/s of a card in half precision by its name; the longest part that fits counts."""
    return next((PEAKS[part] for part in sorted(PEAKS, key=len, reverse=True) if part in name), None)


def unet(config: dict[str, Any], dtype: torch.dtype, where: torch.device) -> nn.Module:
    """The UNet with a LoRA adapter, frozen otherwise, as training has it."""
    from diffusers import UNet2DConditionModel

    with where:
        net = UNet2DConditionModel(**config).eval()
        net = nn.Module.to(net, dtype).requires_grad_(False)
        keep_half(net)
        add_lora(net, 4, None, ATTENTION)
    return net.to(memory_format=torch.channels_last)


def inputs(net: nn.Module, batch: int, where: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and text of a batch."""
    side, dtype = net.config.sample_size, net.dtype
    return (torch.randn(batch, 4, side, side, dtype=dtype, device=where),
            torch.full((batch,), 500, device=where),
            torch.randn(batch, TOKENS, net.config.cross_attention_dim, dtype=dtype, device=where))


def predicted(net: nn.Module, given: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The UNet's output; the adapter's float32 meets half precision under autocast, as in training."""
    latents, timesteps, text = given
    half = latents.dtype != torch.float32
    real = latents.device.type != "meta"
    with torch.autocast(latents.device.type if real else "cpu", dtype=latents.dtype if half else None,
                        enabled=half and real, cache_enabled=False):
        return net(latents, timesteps, encoder_hidden_states=text).sample


def sampling(net: nn.Module, given: tuple[Tensor, Tensor, Tensor]) -> None:
    """What a rollout does."""
    with torch.no_grad():
        predicted(net, given)


def updating(net: nn.Module, given: tuple[Tensor, Tensor, Tensor]) -> None:
    """What an update does."""
    predicted(net, given).float().square().mean().backward()
    net.zero_grad(set_to_none=True)


WORK: dict[str, Callable[[nn.Module, tuple], None]] = {"rollout": sampling, "update": updating}


def fitting(work: Callable[[nn.Module, tuple], None], net: nn.Module, most: int,
            where: torch.device) -> tuple[int, tuple[Tensor, Tensor, Tensor]]:
    """The largest of `most`, `most` / 2, ... rows that the device has memory for, and its inputs."""
    while True:
        given = inputs(net, most, where)
        try:
            work(net, given)
            return most, given
        except torch.OutOfMemoryError:
            if most == 1:
                raise
        net.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        most //= 2


def counted(work: Callable[[nn.Module, tuple], None], config: dict[str, Any], batch: int) -> int:
    """FLOPs of one call by PyTorch's own counter, on shapes alone."""
    meta = torch.device("meta")
    net = unet(config, torch.float32, meta)
    with FlopCounterMode(display=False) as counter:
        work(net, inputs(net, batch, meta))
    return counter.get_total_flops()


def cases() -> Iterator[Result | Speed]:
    """Pictures a second with bfloat16, eager and compiled; ratios between them; the UNet's share of a rollout."""
    where = device()
    config, most = (CONFIG, BATCH) if where.type == "cuda" else (TINY, 4)
    peak = peak_of(torch.cuda.get_device_name()) if where.type == "cuda" else None
    net = unet(config, torch.bfloat16 if where.type == "cuda" else torch.float32, where)
    missing = compiler.problems("method.compile", True)
    for name, work in WORK.items():
        batch, given = fitting(work, net, most, where)
        flops = counted(work, config, batch)
        eager = partial(work, net, given)
        yield measured(f"SD 1.x UNet, {name}", eager, batch, flops, peak)
        if missing or where.type == "cpu":
            yield skipped(f"SD 1.x UNet, {name}: compiled", missing[0] if missing else "measured on a GPU only")
            continue
        fast = unet(config, net.dtype, where)
        fast.compile()
        compiled = partial(work, fast, given)
        yield compared(f"SD 1.x UNet, {name}: compiled", "speed", ("eager", eager), ("compiled", compiled),
                       repeats=REPEATS)
        yield measured(f"SD 1.x UNet, {name}, compiled", compiled, batch, flops, peak)
    yield share(net, *fitting(sampling, net, most, where))


def measured(name: str, work: Callable[[], object], batch: int, flops: int, peak: float | None) -> Speed:
    """Median seconds after a warm-up, and the peak of memory."""
    on_card = torch.cuda.is_available()
    work()
    if on_card:
        torch.cuda.reset_peak_memory_stats()
    found = sorted(seconds(work) for _ in range(REPEATS))
    return Speed(name, batch, found[REPEATS // 2], flops, peak, torch.cuda.max_memory_allocated() if on_card else None)


def share(net: nn.Module, batch: int, given: tuple[Tensor, Tensor, Tensor]) -> Result:
    """A rollout over its UNet calls alone: 1 would be a loop that adds nothing."""
    from diffusers import DDIMScheduler

    where, side = given[0].device, net.config.sample_size
    scheduler = DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    ddim, slots = Ddim.from_scheduler(scheduler, STEPS, device=where), torch.arange(batch, device=where)

    def denoise(latents: Tensor, step: Tensor, prompt: Tensor) -> Tensor:
        return predicted(net, (latents.to(net.dtype), ddim.timesteps[step], given[2])).float()

    def alone() -> None:
        for _ in range(STEPS):
            sampling(net, given)

    def whole() -> None:
        rollout(denoise, ddim, slots, slots, branches=1, interval=STEPS, latent_shape=(4, side, side), seed=0, stage=0)

    return compared("SD 1.x rollout over its UNet calls alone", "cost", ("rollout", whole), ("UNet alone", alone),
                    repeats=REPEATS, note=f"{batch} pictures, {STEPS} steps")
