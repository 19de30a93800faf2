"""Errors that end a run before it begins: a constructor's, a device's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.core import atomic
from src.core.build import build
from src.run import run


def test_an_error_of_a_constructor_comes_out_as_it_was_raised_and_leads_back_to_nothing() -> None:
    """Hydra's error around it must not become its own cause: who walks the chain would not come back."""
    with pytest.raises(RuntimeError, match="no such thing") as caught:
        build({"_target_": "tests.core.test_failures.refuses"})
    seen, error = [], caught.value
    while error is not None and len(seen) < 9:
        seen.append(error)
        error = error.__cause__ or error.__context__
    assert seen == [caught.value]
    ring = ValueError("one")
    ring.__cause__ = ValueError("other")
    ring.__cause__.__cause__ = ring
    assert atomic.disk_fault(ring) is None


def refuses() -> None:
    raise RuntimeError("no such thing")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_before_anything_is_written(tmp_path: Path,
                                                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trainer=gpu", f"output_dir={tmp_path}"]) == 2
    assert "trainer.accelerator=gpu: PyTorch sees no such device" in capsys.readouterr().err
    assert not list(tmp_path.rglob("metrics.json"))
