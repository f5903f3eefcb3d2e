"""DenseNet: Huang et al. 2016, arXiv:1608.06993. Keys and module order of torchvision.

Norm and ReLU stand in front of every convolution ("pre-activation"), and behind a concatenation: these norms belong to
no convolution, so they stay in an exported graph. The released files spell `norm.1` what the module calls `norm1`;
edgekit.source.layouts renames.
"""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgekit.models._blocks import batch_norm, check_positive, init_weights
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

PAPER = "arXiv:1608.06993"

Depths = tuple[int, int, int, int]
"""Layers of each of the four blocks."""

MIN_INPUT = 29
"""Pixels: stem and three transitions halve five times, rounding up, up, down, down, down."""


class DenseLayer(nn.Module):
    """Norm, ReLU, 1x1, norm, ReLU, 3x3; its result is appended to its input.

    f32[N, inputs, H, W] -> f32[N, inputs + growth, H, W].

    Appending to the input, not to a list of all earlier results, keeps every concatenation at two inputs: as many bytes
    are copied, and XNNPACK takes no more than five inputs.
    """

    def __init__(self, inputs: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        norm, inner = batch_norm(), bottleneck * growth
        self.norm1 = norm(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm2 = norm(inner)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.relu1(self.norm1(x)))
        return torch.cat([x, self.conv2(self.relu2(self.norm2(y)))], 1)


def dense_block(inputs: int, depth: int, growth: int, bottleneck: int) -> nn.Sequential:
    """`depth` dense layers: f32[N, inputs, H, W] -> f32[N, inputs + depth * growth, H, W]."""
    return nn.Sequential(
        OrderedDict(
            (f"denselayer{layer + 1}", DenseLayer(inputs + layer * growth, growth, bottleneck))
            for layer in range(depth)
        )
    )


def transition(inputs: int, outputs: int) -> nn.Sequential:
    """Norm, ReLU, 1x1, average pool: f32[N, inputs, H, W] -> f32[N, outputs, H/2, W/2]."""
    return nn.Sequential(
        OrderedDict(
            norm=batch_norm()(inputs),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(inputs, outputs, 1, bias=False),
            pool=nn.AvgPool2d(2, 2),
        )
    )


class DenseNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        growth: channels that each layer appends: the paper's k. The stem has twice as many.
        bottleneck: outputs of a layer's 1x1, in units of `growth`.
        compression: share of the channels that a transition keeps, 0..1: the paper's theta.
    """

    def __init__(
        self, depths: Depths, num_classes: int, growth: int, bottleneck: int = 4, compression: float = 0.5
    ) -> None:
        super().__init__()
        check_positive(growth_rate=growth, bottleneck=bottleneck, compression=compression)
        if compression > 1:
            raise ValueError(f"compression is {compression}, it must be at most 1")
        self.features = nn.Sequential(OrderedDict(_layers(depths, growth, bottleneck, compression)))
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        norm = self.features.get_submodule("norm5")
        assert isinstance(norm, nn.BatchNorm2d)
        self.classifier = nn.Linear(norm.num_features, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.relu(self.features(x))).flatten(1))
        return logits


def _layers(depths: Depths, growth: int, bottleneck: int, compression: float) -> Iterator[tuple[str, nn.Module]]:
    """The network before its last ReLU, by key."""
    channels = 2 * growth
    yield "conv0", nn.Conv2d(3, channels, 7, 2, 3, bias=False)
    yield "norm0", batch_norm()(channels)
    yield "relu0", nn.ReLU(inplace=True)
    yield "pool0", nn.MaxPool2d(3, 2, 1)
    for number, depth in enumerate(depths, 1):
        yield f"denseblock{number}", dense_block(channels, depth, growth, bottleneck)
        channels += depth * growth
        if number < len(depths):
            kept = int(channels * compression)
            check_positive(**{f"channels behind transition {number}, by compression": kept})
            yield f"transition{number}", transition(channels, kept)
            channels = kept
    yield "norm5", batch_norm()(channels)


@register_model(
    params=7_978_856,
    macs=2_834_161_664,
    paper=PAPER,
    reference="torchvision/densenet121",
    weights=(torchvision_weights("DenseNet121_Weights.IMAGENET1K_V1", "densenet121-a639ec97.pth", 74.434),),
    min_input=MIN_INPUT,
)
def densenet121(
    num_classes: int = 1000, growth_rate: int = 32, bottleneck: int = 4, compression: float = 0.5
) -> nn.Module:
    """DenseNet-121.

    Args:
        growth_rate: channels that each layer appends, above 0.
        bottleneck: outputs of a layer's 1x1, in units of the growth rate, above 0.
        compression: share of the channels that a transition keeps, above 0 and at most 1.
    """
    return DenseNet((6, 12, 24, 16), num_classes, growth_rate, bottleneck, compression)


@register_model(
    params=28_681_000,
    macs=7_727_907_072,
    paper=PAPER,
    reference="torchvision/densenet161",
    weights=(torchvision_weights("DenseNet161_Weights.IMAGENET1K_V1", "densenet161-8d451a50.pth", 77.138),),
    min_input=MIN_INPUT,
)
def densenet161(
    num_classes: int = 1000, growth_rate: int = 48, bottleneck: int = 4, compression: float = 0.5
) -> nn.Module:
    """DenseNet-161.

    Args:
        growth_rate: channels that each layer appends, above 0.
        bottleneck: outputs of a layer's 1x1, in units of the growth rate, above 0.
        compression: share of the channels that a transition keeps, above 0 and at most 1.
    """
    return DenseNet((6, 12, 36, 24), num_classes, growth_rate, bottleneck, compression)


@register_model(
    params=14_149_480,
    macs=3_359_843_328,
    paper=PAPER,
    reference="torchvision/densenet169",
    weights=(torchvision_weights("DenseNet169_Weights.IMAGENET1K_V1", "densenet169-b2777c0a.pth", 75.6),),
    min_input=MIN_INPUT,
)
def densenet169(
    num_classes: int = 1000, growth_rate: int = 32, bottleneck: int = 4, compression: float = 0.5
) -> nn.Module:
    """DenseNet-169.

    Args:
        growth_rate: channels that each layer appends, above 0.
        bottleneck: outputs of a layer's 1x1, in units of the growth rate, above 0.
        compression: share of the channels that a transition keeps, above 0 and at most 1.
    """
    return DenseNet((6, 12, 32, 32), num_classes, growth_rate, bottleneck, compression)


@register_model(
    params=20_013_928,
    macs=4_291_365_888,
    paper=PAPER,
    reference="torchvision/densenet201",
    weights=(torchvision_weights("DenseNet201_Weights.IMAGENET1K_V1", "densenet201-c1103571.pth", 76.896),),
    min_input=MIN_INPUT,
)
def densenet201(
    num_classes: int = 1000, growth_rate: int = 32, bottleneck: int = 4, compression: float = 0.5
) -> nn.Module:
    """DenseNet-201.

    Args:
        growth_rate: channels that each layer appends, above 0.
        bottleneck: outputs of a layer's 1x1, in units of the growth rate, above 0.
        compression: share of the channels that a transition keeps, above 0 and at most 1.
    """
    return DenseNet((6, 12, 48, 32), num_classes, growth_rate, bottleneck, compression)
