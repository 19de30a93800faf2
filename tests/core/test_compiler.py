"""What a compiled network is compiled to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from src.core.compiler import compile_in_place


class Layer(nn.Linear):
    """Not torch's own: some versions of PyTorch leave a layer of theirs uncompiled if it is all there is."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input)


def test_full_batches_keep_code_of_their_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """In epochs with a rest, and evaluations of other sizes in between."""
    sizes: list[Any] = []

    def backend(graph: Any, inputs: list[Any]) -> Any:
        batch = [item.shape[0] for item in inputs if isinstance(item, torch.Tensor) and item.dim() == 2][-1]

        def code(*given: Any) -> Any:
            sizes.append(batch)
            return graph(*given)

        return code

    compiled, network = nn.Module.compile, Layer(3, 2)
    monkeypatch.setattr(nn.Module, "compile", lambda net, **how: compiled(net, **how | {"backend": backend}))
    torch._dynamo.reset()
    compile_in_place(network, True, "method.compile", torch.device("cpu"))
    wanted = [8, 8, 5, 16, 4] * 2 + [8]
    for rows in wanted:
        network(torch.ones(rows, 3))
    assert [int(size) for size in sizes] == wanted
    assert all(isinstance(size, int) for size in sizes)
