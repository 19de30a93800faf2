"""Half precision where a device has none of its own."""

from __future__ import annotations

import pytest
import torch

from src.core.errors import UserError
from src.models.precision import refuse_unfit

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")


def test_an_old_gpu_has_no_bfloat16(old_gpu: None) -> None:
    with pytest.raises(UserError, match=r"model.dtype=bfloat16.*Tesla T4.*7.5.*8.0.*Take another"):
        refuse_unfit(torch.bfloat16, GPU, "model.dtype", "take another")
    refuse_unfit(torch.float16, GPU, "model.dtype", "take another")


def test_a_cpu_has_no_fast_float16() -> None:
    with pytest.raises(UserError, match=r"model.dtype=float16.*CPU"):
        refuse_unfit(torch.float16, CPU, "model.dtype", "take another")
    refuse_unfit(torch.bfloat16, CPU, "model.dtype", "take another")
