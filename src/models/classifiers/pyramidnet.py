"""PyramidNet for 32 x 32 pictures (Han et al. 2017, Deep Pyramidal Residual Networks), with and without ShakeDrop
(Yamada et al. 2019, ShakeDrop Regularization for Deep Residual Learning).

Importing this file registers its networks with timm; it needs torch and timm, nothing else.
"""

from __future__ import annotations

from functools import partial

import torch
from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional as F

conv1x1 = partial(nn.Conv2d, kernel_size=1, bias=False)
conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
relu = partial(F.relu, inplace=True)  # batch norm keeps its input, so its output can be overwritten

_CFG = {"num_classes": 10, "input_size": (3, 32, 32), "pool_size": (8, 8), "first_conv": "stem.0",
        "classifier": "head.fc", "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.25,) * 3}
default_cfgs = generate_default_cfgs({"cifar_pyramidnet200": _CFG, "cifar_pyramidnet200_shakedrop": _CFG})


class ShakeDrop(nn.Module):
    """Scales a residual branch [B, C, H, W] by b + alpha - b alpha forward and by b + beta - b beta backward.

    b is 1 with probability `keep`, one draw a layer and step; alpha in [-1, 1] and beta in [0, 1] are drawn for each
    sample. Where b is 1 nothing changes. In eval mode the scale is its expectation, `keep`.
    """

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep

    def extra_repr(self) -> str:
        return f"keep={self.keep:.3f}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.keep * x
        gate = torch.rand(1, 1, 1, 1, device=x.device) < self.keep
        alpha, beta = torch.rand(2, len(x), 1, 1, 1, device=x.device)
        forward, backward = torch.where(gate, 1, 2 * alpha - 1), torch.where(gate, 1, beta)
        return scaled(x, forward.to(x.dtype), backward.to(x.dtype))


def scaled(x: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """x * forward, with the gradient of x * backward: the second term is zero, its derivative is not."""
    return x.detach() * forward + (x - x.detach()) * backward


class Block(nn.Module):
    """Batch norm, 1 x 1, 3 x 3, 1 x 1; batch norm after each, ReLU before the last two only.

    The shortcut has no weights: halved by a mean, new channels are zero.
    """

    def __init__(self, inputs: int, width: int, stride: int, keep: float) -> None:
        super().__init__()
        outputs = 4 * width
        self.norm0 = nn.BatchNorm2d(inputs)
        self.conv1, self.norm1 = conv1x1(inputs, width), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = conv3x3(width, width, stride=stride), nn.BatchNorm2d(width)
        self.conv3, self.norm3 = conv1x1(width, outputs), nn.BatchNorm2d(outputs)
        self.shake = ShakeDrop(keep) if keep < 1 else nn.Identity()
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.norm0(x))
        out = self.conv2(relu(self.norm1(out)))
        out = self.shake(self.norm3(self.conv3(relu(self.norm2(out)))))
        shortcut = F.avg_pool2d(x, 2, ceil_mode=True) if self.stride == 2 else x
        return out + F.pad(shortcut, (0, 0, 0, 0, 0, self.added))


class PyramidNet(nn.Module):
    """3 x 3 stem, three stages at 32, 16 and 8 pixels, batch norm and ReLU, mean over the picture, linear.

    Width grows by `alpha` over all blocks, in equal parts: D_k = D_{k-1} + alpha / N (equation 3). The k-th branch is
    kept with probability 1 - (k / N) (1 - keep). [B, in_chans, H, W] to [B, num_classes].
    """

    def __init__(self, *, depth: int = 200, alpha: int = 240, keep: float = 1.0, num_classes: int = 10,
                 in_chans: int = 3, global_pool: str = "avg", drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.stem = nn.Sequential(conv3x3(in_chans, 16), nn.BatchNorm2d(16))
        stage = (depth - 2) // 9  # a block has three layers, and there are three stages
        channels, blocks = 16, []
        for k in range(1, 3 * stage + 1):
            width = round(16 + alpha * k / (3 * stage))
            stride = 2 if k in (stage + 1, 2 * stage + 1) else 1
            blocks.append(Block(channels, width, stride, 1 - k / (3 * stage) * (1 - keep)))
            channels = 4 * width
        self.blocks = nn.Sequential(*blocks)
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
        return relu(self.norm(self.blocks(self.stem(x))))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@register_model
def cifar_pyramidnet200(pretrained: bool = False, **options) -> PyramidNet:
    """PyramidNet-200, alpha 240, bottleneck: 26.8 M parameters (Yun et al. 2019, CutMix, table 5)."""
    return build_model_with_cfg(PyramidNet, "cifar_pyramidnet200", pretrained, **options)


@register_model
def cifar_pyramidnet200_shakedrop(pretrained: bool = False, **options) -> PyramidNet:
    """The same with ShakeDrop, the last branch kept with probability 0.5."""
    return build_model_with_cfg(PyramidNet, "cifar_pyramidnet200_shakedrop", pretrained, **{"keep": 0.5, **options})
