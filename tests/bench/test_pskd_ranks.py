"""Shares of time that two processes of PS-KD spend on each other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from src.bench.pskd_ranks import COLUMNS, line
from tests.processes import ROOT


def test_a_share_is_of_its_own_epoch_and_what_was_never_sent_is_left_out() -> None:
    rows = [{"epoch": 10.0, "gradients": 1.0}, {"epoch": 20.0, "gradients": 4.0}, {"epoch": 10.0, "gradients": 3.0}]
    cells = [cell.strip() for cell in line("table", rows).strip("|").split("|")]
    assert cells == ["table", "-", "20.00 (15.00 to 25.00)", "-", "-", "-", "-"] and len(cells) == len(COLUMNS) + 1


@pytest.mark.slow
def test_two_processes_are_measured() -> None:
    """All kinds of messages are seen, each takes its time, and together they take less than the epoch."""
    command = [sys.executable, "-m", "src.bench.pskd_ranks", "--rounds", "1", "--memories", "sharded,memmap",
               "method.epochs=3", "method.batch_size=16", "trainer.limit_train_batches=3"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    table = [[cell.strip() for cell in text.strip("|").split("|")] for text in done.stdout.splitlines()]
    told = {cells[0]: cells[1:] for cells in table if cells[0] in ("sharded", "memmap")}
    for memory, cells in told.items():
        shares = [float(cell.split()[0]) for cell in cells if cell != "-"]
        assert all(share > 0 for share in shares) and sum(shares[:5]) < 100
        assert (cells[-1] == "-") == (memory == "memmap")  # only `sharded` gathers rows to save them
    assert len(told) == 2
