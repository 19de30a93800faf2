"""Whole runs on a GPU, where there is one: `pytest -m gpu`. Their figures are near those of the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from src.core import compiler
from src.run import run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def figures(output: Path, *overrides: str) -> dict[str, Any]:
    assert run(["debug=tiny", "logger=csv", f"output_dir={output}", *overrides]) == 0
    found = json.loads((output / "latest" / "metrics.json").read_text())
    assert found["status"] == "finished"
    return found


def both(output: Path, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a run on the GPU, and of one on the CPU without what only a GPU can do, or is good at."""
    fast = [text for text in overrides if text.startswith(("method.compile=", "model.dtype="))]
    if any("compile" in text for text in fast) and compiler.problems("method.compile", True):
        pytest.skip("no compiler here")
    plain = [text for text in overrides if text not in fast]
    return figures(output / "gpu", "trainer=gpu", *overrides), figures(output / "cpu", "trainer=cpu", *plain)


@pytest.mark.parametrize("options", [["method.loss.memory=table"], ["method.loss.memory=memmap"],
                                     ["trainer.precision=bf16-mixed", "method.ema_decay=0.9"],
                                     ["method.compile=graphs"], ["trainer.strategy=ddp"]],
                         ids=["table", "memmap", "half", "graphs", "wrapped"])
def test_a_classifier(tmp_path: Path, options: list[str]) -> None:
    there, here = both(tmp_path, "method=pskd", *options)
    assert there["test/nll"] == pytest.approx(here["test/nll"], rel=0.1)


@pytest.mark.parametrize("options", [[], ["model.dtype=bfloat16"], ["model.dtype=float16"], ["method.compile=true"],
                                     ["method.micro_batch=auto", "method.rollout_batch=auto"],
                                     ["trainer.strategy=ddp"]],
                         ids=["float32", "bfloat16", "float16", "compiled", "auto", "wrapped"])
def test_b2(tmp_path: Path, options: list[str]) -> None:
    there, here = both(tmp_path, "method=b2diffurl", *options)
    for name in ("eval/clip_before", "diversity/latent_before"):
        assert there[name] == pytest.approx(here[name], rel=0.05)


@pytest.mark.parametrize("part", ["verifier", "clip", "autoencoder", "unet"])
def test_a_part_of_the_embedded_model(tmp_path: Path, part: str) -> None:
    figures(tmp_path, f"method=tiny_{part}", "trainer=gpu", f"method.weights={tmp_path / 'weights'}")
