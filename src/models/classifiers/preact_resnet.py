"""Pre-activation ResNets for 32 x 32 pictures (He et al. 2016, Identity Mappings in Deep Residual Networks).

Importing this file registers its networks with timm; it needs torch and timm, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional as F

conv1x1 = partial(nn.Conv2d, kernel_size=1, bias=False)
conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
relu = partial(F.relu, inplace=True)  # batch norm keeps its input, so its output can be overwritten

_CFG = {"num_classes": 10, "input_size": (3, 32, 32), "pool_size": (4, 4), "first_conv": "stem",
        "classifier": "head.fc", "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.25,) * 3}
default_cfgs = generate_default_cfgs({
    "cifar_preact_resnet18": _CFG, "cifar_preact_resnet101": _CFG, "small_preact_resnet": _CFG})


class Basic(nn.Module):
    """Two 3 x 3 convolutions, each after batch norm and ReLU."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv3x3(inputs, width, stride=stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(width), conv3x3(width, width)
        self.shortcut = conv1x1(inputs, width, stride=stride) if stride > 1 or inputs != width else None

    def forward(self, x: Tensor) -> Tensor:
        out = relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        return shortcut + self.conv2(relu(self.norm2(self.conv1(out))))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, each after batch norm and ReLU; the last one is four times as wide."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv1x1(inputs, width)
        self.norm2, self.conv2 = nn.BatchNorm2d(width), conv3x3(width, width, stride=stride)
        self.norm3, self.conv3 = nn.BatchNorm2d(width), conv1x1(width, outputs)
        self.shortcut = conv1x1(inputs, outputs, stride=stride) if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        out = relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        out = self.conv2(relu(self.norm2(self.conv1(out))))
        return shortcut + self.conv3(relu(self.norm3(out)))


class PreActResNet(nn.Module):
    """3 x 3 stem, stages that halve the picture from the second on, batch norm and ReLU, mean over the picture, linear.

    [B, in_chans, H, W] to [B, num_classes].
    """

    def __init__(self, *, block: type[Basic] | type[Bottleneck] = Basic, depths: Sequence[int] = (2, 2, 2, 2),
                 widths: Sequence[int] = (64, 128, 256, 512), stem_stride: int = 1, num_classes: int = 10,
                 in_chans: int = 3, global_pool: str = "avg", drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.stem = conv3x3(in_chans, widths[0], stride=stem_stride)
        channels, stages = widths[0], []
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = []
            for place in range(depth):
                blocks.append(block(channels, width, stride=2 if number and not place else 1))
                channels = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(channels)
        self.num_features = self.head_hidden_size = channels
        self.head = ClassifierHead(channels, num_classes, pool_type=global_pool, drop_rate=drop_rate)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

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


def _build(variant: str, pretrained: bool, options: dict, **shape) -> PreActResNet:
    return build_model_with_cfg(PreActResNet, variant, pretrained, **{**shape, **options})


@register_model
def cifar_preact_resnet18(pretrained: bool = False, **options) -> PreActResNet:
    """PreAct ResNet-18: 11.17 M parameters on 10 classes, 11.22 M on 100."""
    return _build("cifar_preact_resnet18", pretrained, options, block=Basic, depths=(2, 2, 2, 2))


@register_model
def cifar_preact_resnet101(pretrained: bool = False, **options) -> PreActResNet:
    """PreAct ResNet-101: 42.5 M parameters on 10 classes, 42.7 M on 100."""
    return _build("cifar_preact_resnet101", pretrained, options, block=Bottleneck, depths=(3, 4, 23, 3))


@register_model
def small_preact_resnet(pretrained: bool = False, **options) -> PreActResNet:
    """For two CPU cores: 0.69 M parameters on 9 classes, 0.71 M on 98. The stem halves the picture; four stages of one
    block. A step of 128 pictures takes about 60 ms on one core (AVX-512).
    """
    shape = {"block": Basic, "depths": (1, 1, 1, 1), "widths": (24, 48, 96, 192), "stem_stride": 2}
    return _build("small_preact_resnet", pretrained, options, **shape)
