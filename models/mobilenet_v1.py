"""MobileNet V1: Howard et al. 2017, arXiv:1704.04861. Keys and module order of timm; torchvision has no V1."""

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from edgekit.models._blocks import Activation, batch_norm, check_positive, init_weights, relu, relu6
from edgekit.registry import register_model

STEM = 32
STAGES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((64, 1),),
    ((128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), *[(512, 1)] * 5),
    ((1024, 2), (1024, 1)),
)
"""(output channels, stride) of each separable block at alpha = 1, grouped as the keys `blocks.STAGE.BLOCK` are.

The paper's table 1 prints stride 2 for the last block, over maps that stay 7x7: a misprint, it is 1.
"""

MIN_CHANNELS = 8
REFERENCE_PIXELS = 224
ACTIVATIONS: dict[str, Activation] = {"relu6": relu6, "relu": relu}


class DepthwiseSeparable(nn.Sequential):
    """3x3 depthwise, then 1x1 pointwise; norm and activation follow both.

    f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride]. Its cost against a full convolution: 1/outputs + 1/9.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, activation: Activation) -> None:
        norm = batch_norm()
        super().__init__(
            OrderedDict(
                conv_dw=nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
                bn1=norm(inputs),
                act1=activation(),
                conv_pw=nn.Conv2d(inputs, outputs, 1, bias=False),
                bn2=norm(outputs),
                act2=activation(),
            )
        )


class MobileNetV1(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        alpha: width multiplier of every layer but the classifier.
        activation: of every convolution.
        input_size: (H, W) that the network is meant for, where that is not the reference's.
    """

    def __init__(
        self, num_classes: int, alpha: float, activation: Activation, input_size: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        channels = scale_channels(STEM, alpha)
        self.conv_stem = nn.Conv2d(3, channels, 3, 2, 1, bias=False)
        self.bn1 = batch_norm()(channels)
        self.act1 = activation()
        stages = []
        for stage in STAGES:
            blocks = []
            for width, stride in stage:
                blocks.append(DepthwiseSeparable(channels, scale_channels(width, alpha), stride, activation))
                channels = scale_channels(width, alpha)
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(self.act1(self.bn1(self.conv_stem(x))))
        logits: Tensor = self.classifier(self.global_pool(features).flatten(1))
        return logits


def scale_channels(channels: int, alpha: float) -> int:
    """TF-slim's rule for V1: cut off to an integer, at least 8. It does not round to multiples of 8 as V2 and V3 do."""
    return max(int(channels * alpha), MIN_CHANNELS)


@register_model(
    params=4_231_976,
    macs=568_740_352,
    paper="arXiv:1704.04861",
    reference="timm/mobilenetv1_100",
)
def mobilenet_v1(
    num_classes: int = 1000,
    alpha: float = 1.0,
    rho: float = 1.0,
    activation: Literal["relu6", "relu"] = "relu6",
) -> nn.Module:
    """MobileNet V1.

    Args:
        alpha: width multiplier, above 0; the paper's are 1, 0.75, 0.5 and 0.25.
        rho: resolution multiplier, above 0: the input is 224 * rho pixels. It changes the MACs, not the parameters;
            the paper's 192, 160 and 128 pixels are 6/7, 5/7 and 4/7.
        activation: "relu6" as TF-slim and timm train it, "relu" as the paper writes it. It belongs to the checkpoint:
            the keys are the same and the outputs are not.
    """
    check_positive(alpha=alpha, rho=rho)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {' or '.join(ACTIVATIONS)}, not {activation!r}")
    side = max(1, round(REFERENCE_PIXELS * rho))
    return MobileNetV1(num_classes, alpha, ACTIVATIONS[activation], None if rho == 1 else (side, side))
