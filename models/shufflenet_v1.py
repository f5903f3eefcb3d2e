"""ShuffleNet V1: Zhang et al. 2017, arXiv:1707.01083. Keys and module order of pytorchcv.

Not interchangeable with Megvii's own files: these shuffle behind the depthwise convolution, in the opposite direction,
and concatenate the pooled input first.
"""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgekit.models._blocks import batch_norm, check_positive, init_weights
from edgekit.models._channels import check_divisible, shuffle_channels
from edgekit.registry import register_model

PAPER = "arXiv:1707.01083"

STEM = 24
DEPTHS = (4, 8, 4)
CHANNELS = {1: (144, 288, 576), 2: (200, 400, 800), 3: (240, 480, 960), 4: (272, 544, 1088), 8: (384, 768, 1536)}
"""Groups -> outputs of the three stages at width 1: the paper's table 1, each row about 140 million MACs."""

BOTTLENECK = 4
"""Outputs of a unit per channel of its bottleneck, where the stride is 2 also."""


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3 without activation, grouped 1x1; joined with the input, ReLU.

    f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride]. At stride 1 the input is added; at stride 2 its 3x3
    average is concatenated, so the branch makes `outputs - inputs` channels.

    Args:
        first_groups: of the first 1x1; 1 in the first unit of all, whose input is narrow.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int, first_groups: int) -> None:
        super().__init__()
        norm, inner, self.groups = batch_norm(), outputs // BOTTLENECK, groups
        branch = outputs if stride == 1 else outputs - inputs
        check_divisible(first_groups, input=inputs)
        check_divisible(groups, bottleneck=inner, branch=branch)
        self.compress_conv1 = nn.Conv2d(inputs, inner, 1, groups=first_groups, bias=False)
        self.compress_bn1 = norm(inner)
        self.dw_conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.dw_bn2 = norm(inner)
        self.expand_conv3 = nn.Conv2d(inner, branch, 1, groups=groups, bias=False)
        self.expand_bn3 = norm(branch)
        self.avgpool = None if stride == 1 else nn.AvgPool2d(3, stride, 1)
        self.activ = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = shuffle_channels(self.activ(self.compress_bn1(self.compress_conv1(x))), self.groups)
        y = self.dw_bn2(self.dw_conv2(y))
        y = self.expand_bn3(self.expand_conv3(y))
        joined: Tensor = self.activ(torch.cat([y, self.avgpool(x)], 1) if self.avgpool else x + y)
        return joined


def make_stem(channels: int) -> nn.Sequential:
    """Convolution of stride 2, norm, ReLU, max pool: f32[N, 3, H, W] -> f32[N, channels, H/4, W/4]."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, channels, 3, 2, 1, bias=False),
            bn=batch_norm()(channels),
            activ=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(3, 2, 1),
        )
    )


class ShuffleNetV1(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        groups: of the 1x1 convolutions.
        width: multiplier of every layer but the classifier.
        stem: outputs of the first convolution; None: `width` times 24.
    """

    def __init__(self, groups: int, num_classes: int, width: float, stem: int | None) -> None:
        super().__init__()
        check_positive(width=width)
        first = int(STEM * width) if stem is None else stem
        check_positive(stem=first)
        channels = tuple(int(outputs * width) for outputs in CHANNELS[groups])
        stages = OrderedDict[str, nn.Module](init_block=make_stem(first))
        for number, depth in enumerate(DEPTHS):
            inputs = channels[number - 1] if number else first
            units = OrderedDict(_units(inputs, channels[number], depth, groups, 1 if number == 0 else groups))
            stages[f"stage{number + 1}"] = nn.Sequential(units)
        self.features = nn.Sequential(stages)
        self.final_pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(channels[-1], num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.output(self.final_pool(self.features(x)).flatten(1))
        return logits


def _units(inputs: int, outputs: int, depth: int, groups: int, first_groups: int) -> Iterator[tuple[str, nn.Module]]:
    """One stage by key; its first unit has stride 2."""
    yield "unit1", ShuffleUnit(inputs, outputs, 2, groups, first_groups)
    for unit in range(2, depth + 1):
        yield f"unit{unit}", ShuffleUnit(outputs, outputs, 1, groups, groups)


@register_model(
    params=1_531_936,
    macs=143_078_976,
    paper=PAPER,
    reference="pytorchcv/shufflenet_g1_w1",
)
def shufflenet_v1_g1(num_classes: int = 1000, width: float = 1.0, stem: int | None = None) -> nn.Module:
    """ShuffleNet V1, 1 group (no grouped convolution).

    Args:
        width: multiplier of the channels, above 0; the paper's are 0.25, 0.5, 1, 1.5 and 2.
        stem: outputs of the first convolution; None: 24 times the width.
    """
    return ShuffleNetV1(1, num_classes, width, stem)


@register_model(
    params=1_733_848,
    macs=140_836_512,
    paper=PAPER,
    reference="pytorchcv/shufflenet_g2_w1",
)
def shufflenet_v1_g2(num_classes: int = 1000, width: float = 1.0, stem: int | None = None) -> nn.Module:
    """ShuffleNet V1, 2 groups.

    Args:
        width: multiplier of the channels, above 0; the paper's are 0.25, 0.5, 1, 1.5 and 2. Every
            layer must divide by the groups.
        stem: outputs of the first convolution; None: 24 times the width.
    """
    return ShuffleNetV1(2, num_classes, width, stem)


@register_model(
    params=1_865_728,
    macs=137_460_672,
    paper=PAPER,
    reference="pytorchcv/shufflenet_g3_w1",
)
def shufflenet_v1_g3(num_classes: int = 1000, width: float = 1.0, stem: int | None = None) -> nn.Module:
    """ShuffleNet V1, 3 groups.

    Args:
        width: multiplier of the channels, above 0; the paper's are 0.25, 0.5, 1, 1.5 and 2. Every
            layer must divide by the groups.
        stem: outputs of the first convolution; None: 24 times the width.
    """
    return ShuffleNetV1(3, num_classes, width, stem)


@register_model(
    params=1_968_344,
    macs=134_339_776,
    paper=PAPER,
    reference="pytorchcv/shufflenet_g4_w1",
)
def shufflenet_v1_g4(num_classes: int = 1000, width: float = 1.0, stem: int | None = None) -> nn.Module:
    """ShuffleNet V1, 4 groups.

    Args:
        width: multiplier of the channels, above 0; the paper's are 0.25, 0.5, 1, 1.5 and 2. Every
            layer must divide by the groups.
        stem: outputs of the first convolution; None: 24 times the width.
    """
    return ShuffleNetV1(4, num_classes, width, stem)


@register_model(
    params=2_434_768,
    macs=138_365_952,
    paper=PAPER,
    reference="pytorchcv/shufflenet_g8_w1",
)
def shufflenet_v1_g8(num_classes: int = 1000, width: float = 1.0, stem: int | None = None) -> nn.Module:
    """ShuffleNet V1, 8 groups.

    Args:
        width: multiplier of the channels, above 0; the paper's are 0.25, 0.5, 1, 1.5 and 2. Every
            layer must divide by the groups.
        stem: outputs of the first convolution; None: 24 times the width.
    """
    return ShuffleNetV1(8, num_classes, width, stem)
