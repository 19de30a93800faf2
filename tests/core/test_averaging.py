"""The moving average is PyTorch's own, bit for bit, also where a training goes on."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from src.core.averaging import Averaged, too_slow


def trained(network: nn.Module, *averages: AveragedModel, steps: int) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(steps):
        network(torch.randn(6, 3)).square().mean().backward()
        optimizer.step()
        for average in averages:
            average.update_parameters(network)


def test_weights_and_buffers_are_those_of_pytorchs_average() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    own = Averaged(network, 0.9)
    known = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    trained(network, own, known, steps=4)
    later = Averaged(network, 0.9)
    later.load_state_dict(copy.deepcopy(own.state_dict()))
    trained(network, own, known, later, steps=3)
    for average in (own, later):
        assert average.state_dict().keys() == known.state_dict().keys()
        for name, value in known.state_dict().items():
            assert torch.equal(value, average.state_dict()[name]), name


@pytest.mark.parametrize(("decay", "steps", "fits"), [
    (0.999, 120_000, None), (0.9, 30, None), (0.9999, 30, "0.8"), (0.9999, 3000, "0.998"), (0.999, 2900, "0.998"),
    (0.5, 4, "null"), (0.99, 149, "0.97"),
])
def test_an_average_that_keeps_its_first_weights_is_told_with_one_that_does_not(decay, steps, fits) -> None:
    told = too_slow(decay, steps)
    assert (told is None) == (fits is None)
    if told:
        assert f"{decay**steps:.0%}" in told and told.endswith(f"Set method.ema_decay={fits}, or train longer")
        assert fits == "null" or too_slow(float(fits), steps) is None
