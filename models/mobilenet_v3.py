"""MobileNet V3: Howard et al. 2019, arXiv:1905.02244. Keys and module order of torchvision."""

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.models._blocks import (
    ConvNormAct,
    Norm,
    SqueezeExcite,
    batch_norm,
    hard_swish,
    init_weights,
    make_divisible,
    relu,
)
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
        stem: channels after the first convolution.
        head: width of the hidden fully connected layer.
        eps, momentum: of every BatchNorm; torchvision's checkpoints were trained with 1e-3 and 0.01.
    """

    def __init__(
        self,
        rows: tuple[Row, ...],
        head: int,
        num_classes: int,
        *,
        stem: int = STEM,
        eps: float = 1e-3,
        momentum: float = 0.01,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        norm = batch_norm(eps, momentum)
        last = 6 * rows[-1].outputs
        inputs = (stem, *(row.outputs for row in rows))
        self.features = nn.Sequential(
            ConvNormAct(3, stem, 3, norm=norm, activation=hard_swish, stride=2),
            *(Bottleneck(channels, row, norm) for channels, row in zip(inputs, rows, strict=False)),
            ConvNormAct(inputs[-1], last, 1, norm=norm, activation=hard_swish),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(last, head),
            nn.Hardswish(inplace=True),
            nn.Dropout(dropout, inplace=True),
            nn.Linear(head, num_classes),
        )
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


@register_model(
    params=2_542_856,
    macs=56_510_400,
    paper="arXiv:1905.02244",
    reference="torchvision/mobilenet_v3_small",
    weights=(
        Weights(
            name="imagenet",
            location="https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth",
            sha256="047dcff4",
            preprocess=Preprocess(),
            top1=67.668,
            source="torchvision MobileNet_V3_Small_Weights.IMAGENET1K_V1",
        ),
    ),
)
def mobilenet_v3_small(num_classes: int = 1000) -> nn.Module:
    """MobileNet V3 Small, width 1."""
    return MobileNetV3(SMALL, 1024, num_classes)
