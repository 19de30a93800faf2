"""Peaks of memory against what PyTorch's profiler counts, and the two ways to ask a device."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from src.core import host_memory
from src.models import peak
from src.models.peak import free_on, peak_of
from tests.profiled import profiled_peak

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_tensors_are_counted_as_the_profiler_counts_them() -> None:
    network = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 1))
    given = torch.ones(32, 64)

    def work() -> None:
        network.zero_grad(set_to_none=True)
        (network(given).t() * 2).view(-1).sum().backward()

    work()
    assert peak_of(work, CPU) == pytest.approx(profiled_peak(work), rel=0.01)
    assert peak_of(lambda: given.t().view(64, 32), CPU) == 0


def test_on_a_gpu_the_allocator_is_asked_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for name, value in {"reset_peak_memory_stats": None, "memory_allocated": 30, "max_memory_allocated": 100,
                        "empty_cache": None, "mem_get_info": (7, 9)}.items():
        monkeypatch.setattr(peak.torch.cuda, name, lambda *_, name=name, value=value: (told.append(name), value)[1])
    assert peak_of(lambda: told.append("work"), CUDA) == 70 and free_on(CUDA) == 7
    assert told == ["work", "reset_peak_memory_stats", "memory_allocated", "work", "max_memory_allocated",
                    "empty_cache", "mem_get_info"]


def test_a_control_group_can_leave_less_than_the_host_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda file, *a, **k: "4:memory:/x\n0::/jobs/one\n"
                        if file == Path("/proc/self/cgroup") else read(file, *a, **k))
    monkeypatch.setattr(host_memory, "GROUPS", tmp_path)
    for folder, limit in ((tmp_path / "jobs", "5000"), (tmp_path / "jobs" / "one", "max")):
        folder.mkdir()
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("3000\n")
        (folder / "memory.stat").write_text("anon 1000\ninactive_file 1500\n")
    assert free_on(CPU) == 3500
    (tmp_path / "jobs" / "memory.max").write_text("max\n")
    assert 3500 < free_on(CPU) <= psutil.virtual_memory().total
