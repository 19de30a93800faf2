"""What the processes of one PS-KD training send each other, as shares of its time: `python -m src.bench.pskd_ranks`.

Every message is timed apart from the wait for the slower process: ranks meet before each. So nothing is overlapped with
the backward pass, as DDP does otherwise, and the shares are upper bounds. Evaluation does not count.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

import torch

from src.bench.building import built
from src.bench.rank_meter import Meter
from src.bench.timing import quartiles
from src.core import quiet
from src.core.build import build
from src.core.console import note
from src.core.processes import ranks
from src.methods.pskd.module import Classifier

DEFAULT = ("method=pskd", "method.measure_overhead=false", "method.epochs=6", "trainer=cpu", "trainer.devices=2",
           "trainer.strategy=ddp", "trainer.limit_val_batches=0", "method.batch_size=256")  # 128 a process
FOLDER = "B2_BENCH_FOLDER"  # the started processes inherit it: memmap's files are common to all
COLUMNS = {"rows": "past predictions", "gradients": "gradients", "buffers": "batch statistics",
           "wait, rows": "waiting at the rows", "wait, steps": "waiting at the steps", "checkpoint": "for a checkpoint"}


def measured(memory: str, folder: Path, overrides: list[str]) -> tuple[list[dict[str, float]], Classifier]:
    """Epochs of one training, a row each: sums over ranks."""
    module, cfg = built([*DEFAULT, f"method.loss.memory={memory}", f"run_dir={folder}", *overrides])
    module.run_dir, meter = folder / memory, Meter()
    trainer = build(cfg["trainer"], callbacks=[meter], logger=False, enable_checkpointing=False,
                    default_root_dir=str(folder))
    trainer.fit(module)
    ranks.meet()
    if not ranks.number():
        shutil.rmtree(module.run_dir, ignore_errors=True)
    every = ranks.gathered(meter.rows[1:])
    return [dict(sum((Counter(row) for row in rows), Counter())) for rows in zip(*every, strict=True)], module


def line(memory: str, rows: list[dict[str, float]]) -> str:
    """Medians and quartiles over epochs, in percent of the epoch."""
    cells = []
    for name in COLUMNS:
        low, middle, high = quartiles([100 * row.get(name, 0) / row["epoch"] for row in rows])
        cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})" if high else "-")
    return f"| {memory} | " + " | ".join(cells) + " |"


def meeting() -> float:
    """Seconds of a meeting of ranks for which nobody has to wait."""
    found = []
    for _ in range(200):
        start = time.perf_counter()
        ranks.meet()
        found.append(time.perf_counter() - start)
    return median(found)


def tell(module: Classifier, found: dict[str, list[dict[str, float]]]) -> None:
    """What was measured on what."""
    every = [row for rows in found.values() for row in rows]
    size, alone = sum(item.numel() for item in module.network.parameters()), meeting()
    note(f"{module.model.identity()}, {size / 1e6:.2f} M parameters, {ranks.count()} processes, "
         f"{torch.get_num_threads()} threads each, {len(module.data.labels):,} x {len(module.data.classes)} rows, "
         f"{every[0]['steps'] // ranks.count()} steps of {module.batch_size} pictures an epoch, "
         f"{1000 * median(row['epoch'] / row['steps'] for row in every):.0f} ms a step; "
         f"a meeting without waiting {1e6 * alone:.0f} us")
    note("| memory | " + " | ".join(COLUMNS.values()) + " |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    for memory, rows in found.items():
        note(line(memory, rows))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m src.bench.pskd_ranks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="trainings with each memory, in turn")
    parser.add_argument("--memories", default="table,sharded,memmap", help="comma-separated")
    options, overrides = parser.parse_known_args()
    quiet.after_import()
    folder = Path(os.environ.get(FOLDER) or tempfile.mkdtemp())
    os.environ[FOLDER] = str(folder)
    found: dict[str, list[dict[str, float]]] = {memory: [] for memory in options.memories.split(",")}
    for _ in range(options.rounds):
        for memory, rows in found.items():
            more, module = measured(memory, folder, overrides)
            rows += more
    tell(module, found)
    if not ranks.number():
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
