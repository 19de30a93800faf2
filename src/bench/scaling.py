"""Communication and memory of both methods on 1 to 1,024 GPUs, by formulas: `python -m src.bench.scaling`.

Counted here: operations, parameters, bytes. Assumed: speed of a card and of its link, which are options. Nothing is
overlapped with anything, so the shares of time are upper bounds; a rank's work is rounded up, as in training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from src.bench.scaling_formulas import B2, PSKD, Link, Row
from src.core import style
from src.core.console import note

GPUS = tuple(2**power for power in range(11))


def methods() -> dict[str, B2 | PSKD]:
    """Counted from the architectures, on shapes alone."""
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from src.bench.unet_cases import CONFIG, counted, sampling, unet

    meta = torch.device("meta")
    adapted = unet(CONFIG, torch.float32, meta)
    adapter = sum(item.numel() for item in adapted.parameters() if item.requires_grad)
    base = sum(item.numel() for item in adapted.parameters() if not item.requires_grad)
    with meta:
        network = timm.create_model("resnet152").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 224, 224, device=meta))
    forward, size = counter.get_total_flops(), sum(item.numel() for item in network.parameters())
    rollout = counted(sampling, CONFIG, 1)
    return {"B2-DiffuRL, SD 1.4": B2(rollout, adapter),
            "B2-DiffuRL, SD 1.4, whole UNet shared": B2(rollout, base, shared=True),
            "PS-KD, ImageNet, table": PSKD(forward, size, False),
            "PS-KD, ImageNet, sharded": PSKD(forward, size, True)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m src.bench.scaling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bandwidth", type=float, default=25, help="GB/s that each GPU sends at once")
    parser.add_argument("--inside", type=float, default=450, help="... to the GPUs of its host, 8 to a host")
    parser.add_argument("--latency", type=float, default=10, help="microseconds of a message")
    parser.add_argument("--tflops", type=float, default=396, help="TFLOP/s that training reaches on a card")
    parser.add_argument("--out", type=Path, default=Path("experiments/scaling/scaling.png"))
    options = parser.parse_args()
    link = Link(options.bandwidth * 1e9, options.inside * 1e9, latency=options.latency * 1e-6,
                flops=options.tflops * 1e12)
    found = methods()
    rows = {name: [method.row(ranks, link) for ranks in GPUS] for name, method in found.items()}
    for name, method in found.items():
        note(f"\n{name}: {method.forward / 1e9:,.1f} GFLOP a forward pass, {method.gradients:,} trained parameters\n")
        note("| GPUs | GB a GPU | sent by a GPU, MB | time for gradients | for rewards or rows | at work in updates |")
        note("|---|---|---|---|---|---|")
        for row in rows[name]:
            note(f"| {row.ranks:,} | {row.memory / 1e9:.3f} | {row.sent / 1e6:,.1f} | {100 * row.gradients:.2f} % "
                 f"| {100 * row.own:.3f} % | {'-' if row.busy is None else f'{100 * row.busy:.0f} %'} |")
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
