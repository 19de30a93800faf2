"""Communication and memory of both methods on 1 to 1,024 GPUs, by formulas: `python -m src.bench.scaling`.

Counted here: operations, parameters, bytes. Assumed: speed of a card and of its link, which are options. Nothing is
overlapped with anything, so the shares of time are upper bounds; a rank's work is rounded up, as in training.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from src.core import style
from src.core.console import note
from src.models.memory import held

GPUS = tuple(2**power for power in range(11))
FLOAT, HALF, WORD = 4, 2, 8  # bytes


@dataclass(frozen=True)
class Link:
    """What is assumed of the hardware."""

    bandwidth: float = 25e9  # bytes/s that each GPU sends at once: 200 Gbit/s
    latency: float = 10e-6  # s, of a message
    flops: float = 0.4 * 989e12  # FLOP/s that training reaches: 40 % of an H100

    def all_reduce(self, size: float, ranks: int) -> float:
        """Seconds: every rank sends 2 (R - 1) / R of the `size` bytes, in 2 log2 R rounds at least."""
        return 2 * (ranks - 1) / ranks * size / self.bandwidth + 2 * math.log2(ranks) * self.latency

    def gather(self, size: float, ranks: int) -> float:
        """Seconds until every rank has all of the `size` bytes, of which each has an R-th."""
        return (ranks - 1) / ranks * size / self.bandwidth + math.log2(ranks) * self.latency


@dataclass(frozen=True)
class Row:
    """One number of GPUs."""

    ranks: int
    memory: float  # bytes a GPU, of what grows with the method: trajectories, rows
    sent: float  # bytes a GPU sends in a stage or an epoch
    gradients: float  # share of the time for gradients, as any training on several GPUs has it
    own: float  # share of the time for what the method itself sends: rewards, or rows


@dataclass(frozen=True)
class B2:
    """A stage of the reference recipe on SD 1.4 at s = T: the largest one."""

    forward: float  # FLOPs of a UNet evaluation
    gradients: float  # parameters that are trained
    trunks: int = 256
    branches: int = 5
    steps: int = 20
    kept: int = 512  # at most two of a trunk
    samples_per_update: int = 128
    inner_epochs: int = 2
    latents: int = 4 * 64 * 64 * FLOAT

    def row(self, ranks: int, link: Link) -> Row:
        """Rewards of all pictures once a stage (prompts and trunks follow from the seed); gradients once an update."""
        trunks, pictures = math.ceil(self.trunks / ranks), self.trunks * self.branches
        updates = self.inner_epochs * math.ceil(self.kept / self.samples_per_update)
        own = math.ceil(self.samples_per_update / ranks)
        guided, update = 2, 2.0  # conditional and unconditional rows; backward through frozen weights is one forward
        work = guided * self.steps * self.forward * (trunks * self.branches + updates * own * update)
        told, gradients = FLOAT * pictures, FLOAT * self.gradients
        wait, reduce = link.gather(told, ranks), updates * link.all_reduce(gradients, ranks)
        time = wait + reduce + work / link.flops
        sent = (ranks - 1) / ranks * (told + 2 * updates * gradients)
        memory = held(trunks * self.branches, math.ceil(self.kept / ranks), self.steps) * self.latents
        return Row(ranks, memory, sent, reduce / time, wait / time)


@dataclass(frozen=True)
class PSKD:
    """An epoch of ImageNet's size with ResNet-152; `sharded` or not is where past predictions live."""

    forward: float  # FLOPs of a picture
    gradients: float
    sharded: bool
    samples: int = 1_281_167
    classes: int = 1_000
    batch: int = 64  # a GPU

    def row(self, ranks: int, link: Link) -> Row:
        """Rows once an epoch, to all (table) or to the rank that reads them next; gradients once a step."""
        steps = math.ceil(self.samples / self.batch / ranks)
        work = 3 * self.forward * self.batch * steps  # backward is two forwards
        rows, marks = HALF * self.classes * self.samples, (FLOAT + WORD) * self.samples
        own = rows / ranks if self.sharded else rows
        exchange, reduce = link.gather(own + marks, ranks), steps * link.all_reduce(FLOAT * self.gradients, ranks)
        time = exchange + reduce + work / link.flops
        sent = (ranks - 1) / ranks * (own + marks + 2 * steps * FLOAT * self.gradients)
        return Row(ranks, own, sent, reduce / time, exchange / time)


def methods() -> dict[str, B2 | PSKD]:
    """Counted from the architectures, on shapes alone."""
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from src.bench.unet_cases import CONFIG, counted, sampling, unet

    meta = torch.device("meta")
    trained = sum(item.numel() for item in unet(CONFIG, torch.float32, meta).parameters() if item.requires_grad)
    with meta:
        network = timm.create_model("resnet152").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 224, 224, device=meta))
    forward, size = counter.get_total_flops(), sum(item.numel() for item in network.parameters())
    return {"B2-DiffuRL, SD 1.4": B2(counted(sampling, CONFIG, 1), trained),
            "PS-KD, ImageNet, table": PSKD(forward, size, False),
            "PS-KD, ImageNet, sharded": PSKD(forward, size, True)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m src.bench.scaling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bandwidth", type=float, default=25, help="GB/s that each GPU sends at once")
    parser.add_argument("--latency", type=float, default=10, help="microseconds of a message")
    parser.add_argument("--tflops", type=float, default=396, help="TFLOP/s that training reaches on a card")
    parser.add_argument("--out", type=Path, default=Path("experiments/scaling/scaling.png"))
    options = parser.parse_args()
    link = Link(options.bandwidth * 1e9, options.latency * 1e-6, options.tflops * 1e12)
    found = methods()
    rows = {name: [method.row(ranks, link) for ranks in GPUS] for name, method in found.items()}
    for name, method in found.items():
        note(f"\n{name}: {method.forward / 1e9:,.1f} GFLOP a forward pass, {method.gradients:,} trained parameters\n")
        note("| GPUs | GB a GPU | sent by a GPU, MB | time for gradients | for rewards or rows |")
        note("|---|---|---|---|---|")
        for row in rows[name]:
            note(f"| {row.ranks:,} | {row.memory / 1e9:.3f} | {row.sent / 1e6:,.1f} | {100 * row.gradients:.2f} % "
                 f"| {100 * row.own:.3f} % |")
    draw(rows, options.out)


def draw(rows: dict[str, list[Row]], file: Path) -> None:
    """Memory and share of time against the number of GPUs."""
    with style.page(file, 9, 3.4, 1, 2) as (_, grid):
        left, right = grid[0]
        for place, (name, items) in enumerate(rows.items()):
            look = {"marker": ".", "label": name, "color": style.colour(place)}
            left.plot([row.ranks for row in items], [row.memory / 1e9 for row in items], **look)
            right.plot([row.ranks for row in items], [100 * row.own for row in items], **look)
        left.set(xscale="log", yscale="log", xlabel="GPUs", ylabel="GB a GPU")
        right.set(xscale="log", xlabel="GPUs", ylabel="share of time for rewards or rows, %")
        right.axhline(5, color=style.PALE, linewidth=1, linestyle=":")
        left.legend(fontsize=7)


if __name__ == "__main__":
    main()
