"""ResNeXt-29 for 32 x 32 pictures (Xie et al. 2017, Aggregated Residual Transformations, section 5.3).

Importing this file registers its network with timm; it needs torch and timm, nothing else.
"""

from __future__ import annotations

from functools import partial

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional as F

relu = partial(F.relu, inplace=True)  # batch norm keeps its input, so its output can be overwritten

default_cfgs = generate_default_cfgs({"cifar_resnext29_8x64d": {
    "num_classes": 10, "input_size": (3, 32, 32), "pool_size": (8, 8), "first_conv": "stem.0", "classifier": "head.fc",
    "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.25,) * 3}})


def convolution(inputs: int, outputs: int, kernel: int = 1, **options: int) -> nn.Sequential:
    """Convolution and batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """1 x 1, grouped 3 x 3, 1 x 1; batch norm after each, ReLU after the first two and after the sum."""

    def __init__(self, inputs: int, inner: int, outputs: int, groups: int, stride: int) -> None:
        super().__init__()
        self.reduce = convolution(inputs, inner)
        self.middle = convolution(inner, inner, 3, stride=stride, groups=groups)
        self.expand = convolution(inner, outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.expand(relu(self.middle(relu(self.reduce(x)))))
        return relu(out + self.shortcut(x))


class ResNeXt(nn.Module):
    """3 x 3 stem, three stages of `depth` blocks at 32, 16 and 8 pixels, mean over the picture, linear.

    Stage s has `cardinality` groups of `width` * 2^s channels inside and 256 * 2^s outside.
    [B, in_chans, H, W] to [B, num_classes].
    """

    def __init__(self, *, depth: int = 3, cardinality: int = 8, width: int = 64, num_classes: int = 10,
                 in_chans: int = 3, global_pool: str = "avg", drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.stem = convolution(in_chans, 64, 3)
        channels, stages = 64, []
        for stage in range(3):
            inner, outputs = cardinality * width * 2**stage, 256 * 2**stage
            blocks = []
            for place in range(depth):
                blocks.append(Block(channels, inner, outputs, cardinality, stride=2 if stage and not place else 1))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
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
        return self.stages(relu(self.stem(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@register_model
def cifar_resnext29_8x64d(pretrained: bool = False, **options) -> ResNeXt:
    """ResNeXt-29, 8 x 64d: 34.4 M parameters (the paper, table 7)."""
    return build_model_with_cfg(ResNeXt, "cifar_resnext29_8x64d", pretrained, **options)
