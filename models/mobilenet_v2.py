"""MobileNet V2: Sandler et al. 2018, arXiv:1801.04381. Keys and module order of torchvision."""

from torch import Tensor, nn

from edgekit.models._blocks import (
    ConvNormAct,
    batch_norm,
    check_positive,
    init_weights,
    make_divisible,
    relu6,
)
from edgekit.models._timm import timm_weights
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""The paper's table 2 at width 1: expansion t, output channels c, repeats n, stride s of the first of them."""

STEM = 32
LAST = 1280


class InvertedResidual(nn.Module):
    """Expand 1x1 (skipped at expansion 1), depthwise 3x3, project 1x1 without activation.

    f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride]; the input is added when the shapes agree.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        norm, hidden = batch_norm(), inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(ConvNormAct(inputs, hidden, 1, norm=norm, activation=relu6))
        layers += [
            ConvNormAct(hidden, hidden, 3, norm=norm, activation=relu6, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            norm(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        width: multiplier of every layer; the last convolution never gets narrower than 1280.
    """

    def __init__(self, num_classes: int, width: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        norm, last = batch_norm(), make_divisible(LAST * max(1.0, width))
        channels = make_divisible(STEM * width)
        layers: list[nn.Module] = [ConvNormAct(3, channels, 3, norm=norm, activation=relu6, stride=2)]
        for expansion, outputs, repeats, stride in ROWS:
            for repeat in range(repeats):
                scaled = make_divisible(outputs * width)
                layers.append(InvertedResidual(channels, scaled, 1 if repeat else stride, expansion))
                channels = scaled
        layers.append(ConvNormAct(channels, last, 1, norm=norm, activation=relu6))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


@register_model(
    params=3_504_872,
    macs=300_774_272,
    paper="arXiv:1801.04381",
    reference="torchvision/mobilenet_v2",
    weights=(
        torchvision_weights("MobileNet_V2_Weights.IMAGENET1K_V2", "mobilenet_v2-7ebf99e0.pth", 72.154, resize=232),
        torchvision_weights(
            "MobileNet_V2_Weights.IMAGENET1K_V1", "mobilenet_v2-b0353104.pth", 71.878, name="imagenet-v1"
        ),
        timm_weights("mobilenetv2_100.ra_in1k", "mobilenetv2_100_ra-b33bc2c4.pth", 72.91, name="timm"),
    ),
)
def mobilenet_v2(num_classes: int = 1000, width: float = 1.0) -> nn.Module:
    """MobileNet V2.

    Args:
        width: multiplier of the channels, above 0; published ones are 0.35, 0.5, 0.75, 1, 1.3 and 1.4.
    """
    check_positive(width=width)
    return MobileNetV2(num_classes, width)
