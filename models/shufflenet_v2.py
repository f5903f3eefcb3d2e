"""ShuffleNet V2: Ma et al. 2018, arXiv:1807.11164. Keys and module order of torchvision.

torchvision's units of stride 2 are not the paper's: both branches make half of the outputs, where the authors' code
(and the paper's MACs) keep the first branch as wide as the input. Option `layout` chooses.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from edgekit.models._blocks import batch_norm, init_weights
from edgekit.models._channels import shuffle_channels
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

PAPER = "arXiv:1807.11164"

STEM = 24
DEPTHS = (4, 8, 4)

Layout = Literal["torchvision", "paper"]
LAYOUTS = ("torchvision", "paper")

Widths = tuple[int, int, int, int]
"""Outputs of the three stages and of the last convolution."""


def pointwise(inputs: int, outputs: int) -> Iterator[nn.Module]:
    """1x1, norm, ReLU."""
    yield from (nn.Conv2d(inputs, outputs, 1, bias=False), batch_norm()(outputs), nn.ReLU(inplace=True))


def depthwise(channels: int, stride: int) -> Iterator[nn.Module]:
    """3x3 depthwise and norm, without activation."""
    yield from (nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), batch_norm()(channels))


class BasicUnit(nn.Module):
    """Half of the channels goes through 1x1, depthwise 3x3, 1x1; both halves are joined and shuffled.

    f32[N, channels, H, W] -> f32[N, channels, H, W].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(*pointwise(half, half), *depthwise(half, 1), *pointwise(half, half))

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, dim=1)
        return shuffle_channels(torch.cat([kept, self.branch2(changed)], 1), 2)


class DownUnit(nn.Module):
    """Two branches over the whole input, both of stride 2, joined and shuffled.

    f32[N, inputs, H, W] -> f32[N, outputs, H/2, W/2].

    Args:
        first: channels that the first branch makes; the second makes the rest, out of half of the outputs.
    """

    def __init__(self, inputs: int, outputs: int, first: int) -> None:
        super().__init__()
        inner = outputs // 2
        self.branch1 = nn.Sequential(*depthwise(inputs, 2), *pointwise(inputs, first))
        self.branch2 = nn.Sequential(
            *pointwise(inputs, inner), *depthwise(inner, 2), *pointwise(inner, outputs - first)
        )

    def forward(self, x: Tensor) -> Tensor:
        return shuffle_channels(torch.cat([self.branch1(x), self.branch2(x)], 1), 2)


class ShuffleNetV2(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        layout: "paper" is the authors' network: units of stride 2 as above, a classifier without bias.
    """

    def __init__(self, widths: Widths, num_classes: int, layout: Layout) -> None:
        super().__init__()
        if layout not in LAYOUTS:
            raise ValueError(f"layout is {layout!r}, it must be one of {', '.join(LAYOUTS)}")
        paper, last = layout == "paper", widths[-1]
        stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.conv1 = nn.Sequential(stem, batch_norm()(STEM), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = (STEM, *widths)
        self.stage2, self.stage3, self.stage4 = (
            make_stage(inputs[stage], widths[stage], depth, paper) for stage, depth in enumerate(DEPTHS)
        )
        self.conv5 = nn.Sequential(*pointwise(widths[2], last))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(last, num_classes, bias=not paper)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        logits: Tensor = self.fc(self.avgpool(self.conv5(y)).flatten(1))
        return logits


def make_stage(inputs: int, outputs: int, depth: int, paper: bool) -> nn.Sequential:
    """A unit of stride 2, then `depth - 1` of stride 1: f32[N, inputs, H, W] -> f32[N, outputs, H/2, W/2]."""
    first = inputs if paper else outputs // 2
    return nn.Sequential(DownUnit(inputs, outputs, first), *(BasicUnit(outputs) for _ in range(depth - 1)))


@register_model(
    params=1_366_792,
    macs=40_476_448,
    paper=PAPER,
    reference="torchvision/shufflenet_v2_x0_5",
    weights=(
        torchvision_weights("ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1", "shufflenetv2_x0.5-f707e7126e.pth", 60.552),
    ),
)
def shufflenet_v2_x0_5(num_classes: int = 1000, layout: Layout = "torchvision") -> nn.Module:
    """ShuffleNet V2, width 0.5.

    Args:
        layout: "torchvision", or "paper": the authors' units of stride 2 and their classifier without bias.
    """
    return ShuffleNetV2((48, 96, 192, 1024), num_classes, layout)


@register_model(
    params=2_278_604,
    macs=144_907_992,
    paper=PAPER,
    reference="torchvision/shufflenet_v2_x1_0",
    weights=(
        torchvision_weights("ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1", "shufflenetv2_x1-5666bf0f80.pth", 69.362),
    ),
)
def shufflenet_v2_x1_0(num_classes: int = 1000, layout: Layout = "torchvision") -> nn.Module:
    """ShuffleNet V2, width 1.

    Args:
        layout: "torchvision", or "paper": the authors' units of stride 2 and their classifier without bias.
    """
    return ShuffleNetV2((116, 232, 464, 1024), num_classes, layout)


@register_model(
    params=3_503_624,
    macs=295_759_392,
    paper=PAPER,
    reference="torchvision/shufflenet_v2_x1_5",
    weights=(
        torchvision_weights(
            "ShuffleNet_V2_X1_5_Weights.IMAGENET1K_V1", "shufflenetv2_x1_5-3c479a10.pth", 72.996, resize=232
        ),
    ),
)
def shufflenet_v2_x1_5(num_classes: int = 1000, layout: Layout = "torchvision") -> nn.Module:
    """ShuffleNet V2, width 1.5.

    Args:
        layout: "torchvision", or "paper": the authors' units of stride 2 and their classifier without bias.
    """
    return ShuffleNetV2((176, 352, 704, 1024), num_classes, layout)


@register_model(
    params=7_393_996,
    macs=583_253_464,
    paper=PAPER,
    reference="torchvision/shufflenet_v2_x2_0",
    weights=(
        torchvision_weights(
            "ShuffleNet_V2_X2_0_Weights.IMAGENET1K_V1", "shufflenetv2_x2_0-8be3c8ee.pth", 76.23, resize=232
        ),
    ),
)
def shufflenet_v2_x2_0(num_classes: int = 1000, layout: Layout = "torchvision") -> nn.Module:
    """ShuffleNet V2, width 2.

    Args:
        layout: "torchvision", or "paper": the authors' units of stride 2 and their classifier without bias.
    """
    return ShuffleNetV2((244, 488, 976, 2048), num_classes, layout)
