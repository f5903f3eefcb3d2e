"""MobileNet V3: Howard et al. 2019, arXiv:1905.02244. Keys and module order of torchvision."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from edgekit.models._blocks import (
    Activation,
    ConvNormAct,
    Norm,
    SqueezeExcite,
    batch_norm,
    check_positive,
    hard_swish,
    init_weights,
    make_divisible,
    relu,
)
from edgekit.models._timm import timm_weights
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import Preprocess, Weights, register_model


@dataclass(frozen=True, slots=True)
class Row:
    """One bottleneck of the paper's tables 1 and 2, at width 1."""

    kernel: int
    expanded: int
    outputs: int
    squeeze_excite: bool
    hard_swish: bool
    stride: int


def _rows(table: str) -> tuple[Row, ...]:
    """Rows as the paper prints them: kernel, exp size, #out, SE or -, RE or HS, stride."""
    fields = [line.split() for line in table.strip().splitlines()]
    return tuple(Row(int(k), int(e), int(o), se == "SE", nl == "HS", int(s)) for k, e, o, se, nl, s in fields)


LARGE = _rows("""
    3  16  16 -  RE 1
    3  64  24 -  RE 2
    3  72  24 -  RE 1
    5  72  40 SE RE 2
    5 120  40 SE RE 1
    5 120  40 SE RE 1
    3 240  80 -  HS 2
    3 200  80 -  HS 1
    3 184  80 -  HS 1
    3 184  80 -  HS 1
    3 480 112 SE HS 1
    3 672 112 SE HS 1
    5 672 160 SE HS 2
    5 960 160 SE HS 1
    5 960 160 SE HS 1
""")
SMALL = _rows("""
    3  16  16 SE RE 2
    3  72  24 -  RE 2
    3  88  24 -  RE 1
    5  96  40 SE HS 2
    5 240  40 SE HS 1
    5 240  40 SE HS 1
    5 120  48 SE HS 1
    5 144  48 SE HS 1
    5 288  96 SE HS 2
    5 576  96 SE HS 1
    5 576  96 SE HS 1
""")
STEM = 16
LARGE_HEAD, SMALL_HEAD = 1280, 1024
"""Width of the hidden fully connected layer at width 1."""

FIXED_STEM_BELOW = 0.75
"""Narrower networks keep the stem of width 1."""


class Bottleneck(nn.Module):
    """Expand 1x1 (skipped when it would not widen), depthwise, squeeze-excite, project 1x1 without activation.

    f32[N, inputs, H, W] -> f32[N, row.outputs, H/stride, W/stride]; the input is added when the shapes agree.
    """

    def __init__(self, inputs: int, row: Row, norm: Norm) -> None:
        super().__init__()
        activation = hard_swish if row.hard_swish else relu
        layers: list[nn.Module] = []
        if row.expanded != inputs:
            layers.append(ConvNormAct(inputs, row.expanded, 1, norm=norm, activation=activation))
        layers.append(
            ConvNormAct(
                row.expanded,
                row.expanded,
                row.kernel,
                norm=norm,
                activation=activation,
                stride=row.stride,
                groups=row.expanded,
            )
        )
        if row.squeeze_excite:
            layers.append(SqueezeExcite(row.expanded, make_divisible(row.expanded // 4), nn.Hardsigmoid))
        layers.append(ConvNormAct(row.expanded, row.outputs, 1, norm=norm, activation=None))
        self.block = nn.Sequential(*layers)
        self.residual = row.stride == 1 and inputs == row.outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


class MobileNetV3(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        rows: bottlenecks, already scaled by the width multiplier.
        last: channels of the last convolution.
        head: width of the hidden fully connected layer.
        stem: channels after the first convolution.
        activation: of stem, last convolution and head.
        eps, momentum: of every BatchNorm; torchvision's checkpoints were trained with 1e-3 and 0.01.
    """

    def __init__(
        self,
        rows: tuple[Row, ...],
        last: int,
        head: int,
        num_classes: int,
        *,
        stem: int = STEM,
        activation: Activation = hard_swish,
        eps: float = 1e-3,
        momentum: float = 0.01,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        norm = batch_norm(eps, momentum)
        inputs = (stem, *(row.outputs for row in rows))
        self.features = nn.Sequential(
            ConvNormAct(3, stem, 3, norm=norm, activation=activation, stride=2),
            *(Bottleneck(channels, row, norm) for channels, row in zip(inputs, rows, strict=False)),
            ConvNormAct(inputs[-1], last, 1, norm=norm, activation=activation),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(last, head),
            activation(),
            nn.Dropout(dropout, inplace=True),
            nn.Linear(head, num_classes),
        )
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def scale_rows(rows: tuple[Row, ...], stem: int, width: float) -> Iterator[Row]:
    """Rows at another width, as the paper's own code and timm scale them: each keeps its ratio of expansion.

    torchvision multiplies the expanded channels instead, which gives other networks below and above width 1.
    """
    before, inputs = STEM, stem
    for row in rows:
        outputs = make_divisible(row.outputs * width)
        yield replace(row, expanded=make_divisible(inputs * row.expanded / before), outputs=outputs)
        before, inputs = row.outputs, outputs


def stem_width(width: float) -> int:
    return STEM if width < FIXED_STEM_BELOW else make_divisible(STEM * width)


def minimalistic(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Rows without squeeze-excite, hard-swish and 5x5 kernels. Source: the authors' README in TF-slim."""
    return tuple(replace(row, kernel=3, squeeze_excite=False, hard_swish=False) for row in rows)


def build(rows: tuple[Row, ...], head: int, num_classes: int, width: float, minimal: bool) -> MobileNetV3:
    """The network of `rows` at `width`; the hidden layer of its head never gets narrower than at width 1."""
    check_positive(width=width)
    stem, last = stem_width(width), make_divisible(6 * rows[-1].outputs * width)
    scaled = tuple(scale_rows(minimalistic(rows) if minimal else rows, stem, width))
    hidden, activation = make_divisible(head * max(1.0, width)), relu if minimal else hard_swish
    return MobileNetV3(scaled, last, hidden, num_classes, stem=stem, activation=activation)


@register_model(
    params=5_483_032,
    macs=216_589_760,
    paper="arXiv:1905.02244",
    reference="torchvision/mobilenet_v3_large",
    weights=(
        torchvision_weights(
            "MobileNet_V3_Large_Weights.IMAGENET1K_V2", "mobilenet_v3_large-5c1a4163.pth", 75.274, resize=232
        ),
        torchvision_weights(
            "MobileNet_V3_Large_Weights.IMAGENET1K_V1", "mobilenet_v3_large-8738ca79.pth", 74.042, name="imagenet-v1"
        ),
        timm_weights("mobilenetv3_large_100.ra_in1k", "mobilenetv3_large_100_ra-f55367f5.pth", 75.784, name="timm"),
    ),
)
def mobilenet_v3_large(num_classes: int = 1000, width: float = 1.0, minimal: bool = False) -> nn.Module:
    """MobileNet V3 Large.

    Args:
        width: multiplier of the channels, above 0; the paper's are 0.35, 0.5, 0.75, 1 and 1.25.
        minimal: the minimalistic form, without squeeze-excite, hard-swish and 5x5 kernels.
    """
    return build(LARGE, LARGE_HEAD, num_classes, width, minimal)


BUNDLED = Weights(
    name="bundled",
    location="mobilenet_v3_small.safetensors",
    sha256="d3ac039c2846da17b547d049166ffddc3952b43d6b4db754b4a9dcbf02965928",
    preprocess=Preprocess(
        resize=80, crop=(80, 80), mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616), labels="cifar10"
    ),
    num_classes=10,
    top1=85.11,
    dataset="CIFAR-10 (as JPEG)",
    source="models/weights/mobilenet_v3_small.md",
)


@register_model(
    params=2_542_856,
    macs=56_510_400,
    paper="arXiv:1905.02244",
    reference="torchvision/mobilenet_v3_small",
    weights=(
        BUNDLED,
        torchvision_weights("MobileNet_V3_Small_Weights.IMAGENET1K_V1", "mobilenet_v3_small-047dcff4.pth", 67.668),
        timm_weights("mobilenetv3_small_100.lamb_in1k", "mobilenetv3_small_100_lamb-266a294c.pth", 67.636, name="timm"),
    ),
)
def mobilenet_v3_small(num_classes: int = 1000, width: float = 1.0, minimal: bool = False) -> nn.Module:
    """MobileNet V3 Small.

    Args:
        width: multiplier of the channels, above 0; the paper's are 0.35, 0.5, 0.75, 1 and 1.25.
        minimal: the minimalistic form, without squeeze-excite, hard-swish and 5x5 kernels.
    """
    return build(SMALL, SMALL_HEAD, num_classes, width, minimal)
