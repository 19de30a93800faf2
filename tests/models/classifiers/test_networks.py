"""The project's own networks: sizes against the literature, shapes, gradients, memory format, compilation."""

from __future__ import annotations

from functools import cache

import pytest
import timm
import torch
from torch import nn

from src.models.classifiers.names import own_networks
from src.models.classifiers.network import register

register()
# Millions of parameters as published, with the classes they were counted for.
PUBLISHED = [
    ("cifar_preact_resnet18", 10, "11.17"),  # tables of CIFAR-10 collections for (PreAct) ResNet-18
    ("cifar_preact_resnet18", 100, "11.22"),  # the same for CIFAR-100
    ("cifar_preact_resnet101", 10, "42.51"),  # ResNet-101 in the same tables: 42,512,970, with batch norm after
    ("cifar_preact_resnet101", 100, "42.7"),
    ("cifar_densenet121", 10, "6.96"),  # DenseNet-121 in the same tables
    ("cifar_resnext29_8x64d", 10, "34.4"),  # Xie et al. 2017, table 7
    ("cifar_resnext29_8x64d", 10, "34.43"),  # with one more digit, in bearpaw's pytorch-classification
    ("cifar_pyramidnet200", 10, "26.752702"),  # to the last one, osmr's imgclsmob
    ("cifar_pyramidnet200", 100, "26.8"),  # Yun et al. 2019 (CutMix), table 5
    ("cifar_pyramidnet200_shakedrop", 100, "26.8"),
    ("resnet152", 1000, "60.192808"),  # torchvision's documentation
    ("small_preact_resnet", 9, "0.69"),  # our own; its docstring says so
]
# The same architectures at sizes that a test can run.
SMALL = {
    "cifar_preact_resnet18": {"widths": (8, 8, 8, 16)},
    "cifar_preact_resnet101": {"widths": (2, 2, 4, 4), "depths": (1, 2, 1, 1)},
    "small_preact_resnet": {},
    "cifar_densenet121": {"depths": (1, 2, 2, 1), "growth": 4},
    "cifar_resnext29_8x64d": {"depth": 1, "cardinality": 2, "width": 2},
    "cifar_pyramidnet200": {"depth": 11, "alpha": 12},
    "cifar_pyramidnet200_shakedrop": {"depth": 11, "alpha": 12},
}


@cache
def whole(name: str) -> nn.Module:
    """The network at full size for 10 classes, as shapes."""
    with torch.device("meta"):
        return timm.create_model(name, num_classes=10)


@pytest.mark.parametrize(("name", "classes", "millions"), PUBLISHED)
def test_size_is_the_published_one(name: str, classes: int, millions: str) -> None:
    network = whole(name)
    last = (classes - 10) * (network.num_features + 1)
    count = (sum(parameter.numel() for parameter in network.parameters()) + last) / 1e6
    tolerance = 0.01 if name == "cifar_preact_resnet101" else 0  # pre-activation moves a few batch norms
    places = len(millions.partition(".")[2])
    assert abs(round(count, places) - float(millions)) <= tolerance + 1e-9, count


def test_every_own_network_is_tested_here() -> None:
    assert set(SMALL) == set(own_networks())
    assert {name for name, _, _ in PUBLISHED} >= set(SMALL)


@pytest.mark.parametrize("name", [*SMALL, "resnet152"])
def test_full_size_gives_logits_and_maps(name: str) -> None:
    size, side = (224, 7) if name == "resnet152" else (32, 8 if "next" in name or "pyramid" in name else 4)
    network = whole(name)
    features = network.forward_features(torch.empty(2, 3, size, size, device="meta"))
    assert network.forward_head(features).shape == (2, 10)
    if name != "small_preact_resnet":
        assert features.shape == (2, network.num_features, side, side)


@pytest.mark.parametrize("name", SMALL)
def test_what_timm_expects_of_a_network(name: str) -> None:
    network = timm.create_model(name, num_classes=5, in_chans=1, **SMALL[name]).eval()
    pictures = torch.randn(2, 1, 32, 32)
    features = network.forward_features(pictures)
    assert torch.equal(network.forward_head(features), network(pictures))
    assert network.forward_head(features, pre_logits=True).shape == (2, network.num_features)
    assert network.get_classifier().out_features == 5
    network.reset_classifier(3)
    assert network(pictures).shape == (2, 3) and network.num_classes == 3
    network.reset_classifier(0)
    assert network(pictures).shape == (2, network.num_features)
    assert isinstance(network.get_submodule(network.pretrained_cfg["first_conv"]), nn.Conv2d)
    assert network.pretrained_cfg["classifier"] == "head.fc"


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_weight_in_channels_last(name: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5, **SMALL[name]).to(memory_format=torch.channels_last)
    features = network.forward_features(torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    assert features.is_contiguous(memory_format=torch.channels_last)
    nn.functional.cross_entropy(network.forward_head(features), torch.tensor([0, 1, 2, 3])).backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize("name", ["small_preact_resnet", "cifar_densenet121", "cifar_pyramidnet200_shakedrop"])
def test_compiles_in_one_graph_and_stays_the_same(name: str) -> None:
    torch.manual_seed(0)
    network, pictures = timm.create_model(name, num_classes=5, **SMALL[name]), torch.randn(4, 3, 32, 32)
    torch.manual_seed(1)
    expected = network(pictures)
    network.to(memory_format=torch.channels_last).compile(backend="eager", fullgraph=True)
    torch.manual_seed(1)
    found = network(pictures.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(found, expected, atol=1e-4)
    found.sum().backward()


def test_drop_rate_reaches_the_last_layer() -> None:
    assert timm.create_model("small_preact_resnet", drop_rate=0.3).head.drop.p == 0.3
