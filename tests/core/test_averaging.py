"""The moving average is PyTorch's own, bit for bit, also where a training goes on."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from src.core.averaging import Averaged


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
