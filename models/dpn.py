"""DPN, dual path networks: Chen et al. 2017, arXiv:1707.01629. Keys and module order of timm.

A block's input is [residual | dense]: the first channels are added to, as in ResNet, the rest grows, as in DenseNet.
Every convolution of a block has its norm and ReLU in front.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.models._blocks import batch_norm, init_weights
from edgekit.models._cadene import cadene_weights
from edgekit.registry import Weights, register_model

PAPER = "arXiv:1707.01629"
EPS = 1e-3
"""Of every BatchNorm: MXNet's, in which the published weights were trained."""

MEAN = (124 / 255, 117 / 255, 104 / 255)
STD = (1 / (0.0167 * 255),) * 3
"""The authors subtract whole grey values and multiply by 0.0167."""


@dataclass(frozen=True, slots=True)
class Config:
    """One column of the paper's table 1.

    Args:
        stem: (outputs, kernel) of the first convolution, of stride 2.
        width: channels of the residual path in the first stage; they double from stage to stage.
        inner: channels of the 3x3 in the first stage; they double too.
        groups: of the 3x3.
        depths: blocks of the four stages.
        growth: channels that each block of a stage appends to the dense path.
    """

    stem: tuple[int, int]
    width: int
    inner: int
    groups: int
    depths: tuple[int, int, int, int]
    growth: tuple[int, int, int, int]


DPN68 = Config((10, 3), 64, 128, 32, (3, 4, 12, 3), (16, 32, 32, 64))
DPN92 = Config((64, 7), 256, 96, 32, (3, 4, 20, 3), (16, 32, 24, 128))
DPN98 = Config((96, 7), 256, 160, 40, (3, 6, 20, 3), (16, 32, 32, 128))
DPN131 = Config((128, 7), 256, 160, 40, (4, 8, 28, 3), (16, 32, 32, 128))


class NormAct(nn.Module):
    """BatchNorm and ReLU. f32[N, channels, H, W] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = batch_norm(EPS)(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.bn(x))
        return y


class NormActConv(NormAct):
    """BatchNorm, ReLU, convolution. f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride]."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(super().forward(x))
        return y


class DualPath(nn.Module):
    """One block: 1x1, grouped 3x3, 1x1.

    f32[N, residual + dense, H, W] -> f32[N, residual + dense + growth, H/stride, W/stride].

    Args:
        inputs: channels, residual and dense together.
        residual: channels of the residual path.
        projection: key of the first block's shortcut, which starts the dense path with 2 * growth channels; or None.
    """

    def __init__(
        self,
        inputs: int,
        residual: int,
        inner: int,
        growth: int,
        groups: int,
        stride: int = 1,
        projection: str | None = None,
    ) -> None:
        super().__init__()
        self.residual, self.projection = residual, projection
        if projection:
            self.add_module(projection, NormActConv(inputs, residual + 2 * growth, stride=stride))
        self.c1x1_a = NormActConv(inputs, inner)
        self.c3x3_b = NormActConv(inner, inner, 3, stride, groups)
        self.c1x1_c = NormActConv(inner, residual + growth)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.get_submodule(self.projection)(x) if self.projection else x
        branch = self.c1x1_c(self.c3x3_b(self.c1x1_a(x)))
        summed = shortcut[:, : self.residual] + branch[:, : self.residual]
        return torch.cat([summed, shortcut[:, self.residual :], branch[:, self.residual :]], dim=1)


class Stem(nn.Sequential):
    """Convolution of stride 2, norm, ReLU. f32[N, 3, H, W] -> f32[N, outputs, H/2, W/2]."""

    def __init__(self, outputs: int, kernel: int) -> None:
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(3, outputs, kernel, 2, kernel // 2, bias=False),
                bn=batch_norm(EPS)(outputs),
                relu=nn.ReLU(inplace=True),
            )
        )


def layers(config: Config) -> Iterator[tuple[str, nn.Module]]:
    """The network before its classifier, by key."""
    yield "conv1_1", Stem(*config.stem)
    yield "conv1_pool", nn.MaxPool2d(3, 2, 1)
    channels = config.stem[0]
    for stage, (depth, growth) in enumerate(zip(config.depths, config.growth, strict=True)):
        scale, stride = 2**stage, 1 if stage == 0 else 2
        residual, inner = config.width * scale, config.inner * scale
        projection = f"c1x1_w_s{stride}"
        yield (
            f"conv{stage + 2}_1",
            DualPath(channels, residual, inner, growth, config.groups, stride, projection),
        )
        channels = residual + 3 * growth
        for block in range(2, depth + 1):
            yield f"conv{stage + 2}_{block}", DualPath(channels, residual, inner, growth, config.groups)
            channels += growth
    yield "conv5_bn_ac", NormAct(channels)


class DPN(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes]."""

    def __init__(self, config: Config, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(OrderedDict(layers(config)))
        channels = config.width * 8 + (config.depths[-1] + 2) * config.growth[-1]
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.global_pool(self.features(x))).flatten(1)
        return logits


def dpn_weights(file: str, tag: str, top1: float) -> Weights:
    """The record of one of the authors' MXNet networks: Cadene's file, and timm's figure for the same weights."""
    return cadene_weights(file, top1, interpolation="bicubic", mean=MEAN, std=STD, source=f"timm {tag}")


@register_model(
    params=12_611_602,
    macs=2_326_163_456,
    paper=PAPER,
    reference="timm/dpn68",
    weights=(dpn_weights("dpn68-4af7d88d2.pth", "dpn68.mx_in1k", 76.304),),
)
def dpn68(num_classes: int = 1000) -> nn.Module:
    """DPN-68."""
    return DPN(DPN68, num_classes)


@register_model(
    params=37_668_392,
    macs=6_501_684_224,
    paper=PAPER,
    reference="timm/dpn92",
    weights=(dpn_weights("dpn92_extra-fda993c95.pth", "dpn92.mx_in1k", 80.032),),
)
def dpn92(num_classes: int = 1000) -> nn.Module:
    """DPN-92."""
    return DPN(DPN92, num_classes)


@register_model(
    params=61_570_728,
    macs=11_671_217_152,
    paper=PAPER,
    reference="timm/dpn98",
    weights=(dpn_weights("dpn98-722954780.pth", "dpn98.mx_in1k", 79.664),),
)
def dpn98(num_classes: int = 1000) -> nn.Module:
    """DPN-98."""
    return DPN(DPN98, num_classes)


@register_model(
    params=79_254_504,
    macs=16_013_648_896,
    paper=PAPER,
    reference="timm/dpn131",
    weights=(dpn_weights("dpn131-7af84be88.pth", "dpn131.mx_in1k", 79.836),),
)
def dpn131(num_classes: int = 1000) -> nn.Module:
    """DPN-131."""
    return DPN(DPN131, num_classes)
