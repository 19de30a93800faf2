"""DenseNet-121 for 32 x 32 pictures: DenseNet-BC (Huang et al. 2017) with growth 32, compression 0.5 and a 3 x 3 stem.

Importing this file registers its network with timm; it needs torch and timm, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional as F

conv1x1 = partial(nn.Conv2d, kernel_size=1, bias=False)
conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
relu = partial(F.relu, inplace=True)  # batch norm keeps its input, so its output can be overwritten

default_cfgs = generate_default_cfgs({"cifar_densenet121": {
    "num_classes": 10, "input_size": (3, 32, 32), "pool_size": (4, 4), "first_conv": "stem", "classifier": "head.fc",
    "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.25,) * 3}})


class DenseLayer(nn.Module):
    """Adds `growth` channels to its input: 1 x 1 to 4 * growth channels, 3 x 3, each after batch norm and ReLU."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv1x1(inputs, 4 * growth)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), conv3x3(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(relu(self.norm1(x)))
        return torch.cat([x, self.conv2(relu(self.norm2(out)))], 1)


class Transition(nn.Module):
    """1 x 1 convolution to fewer channels, then half the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), conv1x1(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(relu(self.norm(x))), 2)


class DenseNet(nn.Module):
    """3 x 3 stem, dense blocks with transitions between them, batch norm and ReLU, mean over the picture, linear.

    [B, in_chans, H, W] to [B, num_classes].
    """

    def __init__(self, *, depths: Sequence[int] = (6, 12, 24, 16), growth: int = 32, compression: float = 0.5,
                 num_classes: int = 10, in_chans: int = 3, global_pool: str = "avg", drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        channels = 2 * growth
        self.stem = conv3x3(in_chans, channels)
        parts: list[nn.Module] = []
        for number, depth in enumerate(depths):
            if number:
                parts.append(Transition(channels, int(channels * compression)))
                channels = int(channels * compression)
            parts.append(nn.Sequential(*(DenseLayer(channels + growth * place, growth) for place in range(depth))))
            channels += growth * depth
        self.stages = nn.Sequential(*parts)
        self.norm = nn.BatchNorm2d(channels)
        self.num_features = self.head_hidden_size = channels
        self.head = ClassifierHead(channels, num_classes, pool_type=global_pool, drop_rate=drop_rate)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def forward_features(self, x: Tensor) -> Tensor:
        return relu(self.norm(self.stages(self.stem(x))))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@register_model
def cifar_densenet121(pretrained: bool = False, **options) -> DenseNet:
    """DenseNet-121: 6.96 M parameters on 10 classes, 7.05 M on 100."""
    return build_model_with_cfg(DenseNet, "cifar_densenet121", pretrained, **options)
