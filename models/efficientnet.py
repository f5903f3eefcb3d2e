"""EfficientNet: Tan & Le 2019, arXiv:1905.11946. Keys, module order and padding of torchvision.

The TensorFlow networks, which Noisy Student, AdvProp and RandAugment trained, are in models/tf_efficientnet.py.
FixEfficientNet (arXiv:2003.08237) is no network of its own: it is weights for a larger `--input-size`.
"""

from torch import Tensor, nn

from edgekit.models._blocks import (
    ConvNormAct,
    Norm,
    SqueezeExcite,
    batch_norm,
    check_positive,
    init_weights,
    make_divisible,
    silu,
    stochastic_depth,
)
from edgekit.models._efficientnet import (
    ALPHA,
    B0,
    B1,
    B2,
    B3,
    B4,
    B5,
    B6,
    B7,
    BETA,
    DROPPED,
    GAMMA,
    LAST,
    PAPER,
    SQUEEZE,
    STEM,
    Scaling,
    compound_scaling,
    scale_rows,
)
from edgekit.models._timm import timm_weights
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model


class MBConv(nn.Module):
    """Expand 1x1 (skipped at expansion 1), depthwise, squeeze-excite, project 1x1 without activation.

    f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride]; the input is added when the shapes agree.
    """

    def __init__(
        self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, norm: Norm, drop: float
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(ConvNormAct(inputs, hidden, 1, norm=norm, activation=silu))
        layers += [
            ConvNormAct(hidden, hidden, kernel, norm=norm, activation=silu, stride=stride, groups=hidden),
            SqueezeExcite(hidden, max(1, inputs // SQUEEZE), nn.Sigmoid, silu),
            ConvNormAct(hidden, outputs, 1, norm=norm, activation=None),
        ]
        self.block = nn.Sequential(*layers)
        self.residual, self.drop = stride == 1 and inputs == outputs, drop

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + stochastic_depth(y, self.drop, self.training) if self.residual else y


class EfficientNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        eps, momentum: of every BatchNorm. torchvision's B0 to B4 have the defaults; B5 to B7 are TensorFlow's weights.
        input_size: (H, W) that the network is meant for, where an option chose it.
    """

    def __init__(
        self,
        num_classes: int,
        scaling: Scaling,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        norm, channels = batch_norm(eps, momentum), make_divisible(STEM * scaling.width)
        last, depth = make_divisible(LAST * scaling.width), sum(row[-1] for row in scale_rows(scaling))
        layers: list[nn.Module] = [ConvNormAct(3, channels, 3, norm=norm, activation=silu, stride=2)]
        done = 0
        for expansion, kernel, stride, outputs, repeats in scale_rows(scaling):
            stage = []
            for repeat in range(repeats):
                first_stride = 1 if repeat else stride
                drop = DROPPED * done / depth
                stage.append(MBConv(channels, outputs, expansion, kernel, first_stride, norm, drop))
                channels, done = outputs, done + 1
            layers.append(nn.Sequential(*stage))
        layers.append(ConvNormAct(channels, last, 1, norm=norm, activation=silu))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(scaling.dropout), nn.Linear(last, num_classes))
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


@register_model(params=5_288_548, macs=385_814_752, paper=PAPER, reference="torchvision/efficientnet_b0")
def efficientnet(
    num_classes: int = 1000, phi: float = 0.0, alpha: float = ALPHA, beta: float = BETA, gamma: float = GAMMA
) -> nn.Module:
    """EfficientNet at any compound coefficient; B0 at phi = 0.

    Args:
        phi: doubles the MACs with each step, about.
        alpha: depth multiplier per step, above 0.
        beta: width multiplier per step, above 0.
        gamma: resolution multiplier per step, above 0.
    """
    check_positive(alpha=alpha, beta=beta, gamma=gamma)
    scaling = compound_scaling(phi, alpha, beta, gamma)
    side = None if scaling.pixels == B0.pixels else (scaling.pixels, scaling.pixels)
    return EfficientNet(num_classes, scaling, input_size=side)


@register_model(
    params=5_288_548,
    macs=385_814_752,
    paper=PAPER,
    reference="torchvision/efficientnet_b0",
    weights=(
        torchvision_weights(
            "EfficientNet_B0_Weights.IMAGENET1K_V1",
            "efficientnet_b0_rwightman-7f5810bc.pth",
            77.692,
            interpolation="bicubic",
        ),
        timm_weights("efficientnet_b0.ra_in1k", "efficientnet_b0_ra-3dd342df.pth", 77.698, name="timm"),
    ),
)
def efficientnet_b0(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B0."""
    return EfficientNet(num_classes, B0)


@register_model(
    input_shape=(3, 240, 240),
    params=7_794_184,
    macs=686_802_832,
    paper=PAPER,
    reference="torchvision/efficientnet_b1",
    weights=(
        torchvision_weights(
            "EfficientNet_B1_Weights.IMAGENET1K_V2", "efficientnet_b1-c27df63c.pth", 79.838, resize=255, crop=240
        ),
        torchvision_weights(
            "EfficientNet_B1_Weights.IMAGENET1K_V1",
            "efficientnet_b1_rwightman-bac287d4.pth",
            78.642,
            name="imagenet-v1",
            crop=240,
            interpolation="bicubic",
        ),
        timm_weights("efficientnet_b1.ft_in1k", "efficientnet_b1-533bc792.pth", 77.592, name="timm"),
    ),
)
def efficientnet_b1(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B1."""
    return EfficientNet(num_classes, B1)


@register_model(
    input_shape=(3, 260, 260),
    params=9_109_994,
    macs=993_561_872,
    paper=PAPER,
    reference="torchvision/efficientnet_b2",
    weights=(
        torchvision_weights(
            "EfficientNet_B2_Weights.IMAGENET1K_V1",
            "efficientnet_b2_rwightman-c35c1473.pth",
            80.608,
            resize=288,
            crop=288,
            interpolation="bicubic",
        ),
        timm_weights("efficientnet_b2.ra_in1k", "efficientnet_b2_ra-bcdf34b7.pth", 79.324, name="timm", size=256),
    ),
)
def efficientnet_b2(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B2."""
    return EfficientNet(num_classes, B2)


@register_model(
    input_shape=(3, 300, 300),
    params=12_233_232,
    macs=1_827_141_392,
    paper=PAPER,
    reference="torchvision/efficientnet_b3",
    weights=(
        torchvision_weights(
            "EfficientNet_B3_Weights.IMAGENET1K_V1",
            "efficientnet_b3_rwightman-b3899882.pth",
            82.008,
            resize=320,
            crop=300,
            interpolation="bicubic",
        ),
        timm_weights("efficientnet_b3.ra2_in1k", "efficientnet_b3_ra2-cf984f9c.pth", 81.472, name="timm", size=288),
    ),
)
def efficientnet_b3(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B3."""
    return EfficientNet(num_classes, B3)


@register_model(
    input_shape=(3, 380, 380),
    params=19_341_616,
    macs=4_393_771_024,
    paper=PAPER,
    reference="torchvision/efficientnet_b4",
    weights=(
        torchvision_weights(
            "EfficientNet_B4_Weights.IMAGENET1K_V1",
            "efficientnet_b4_rwightman-23ab8bcd.pth",
            83.384,
            resize=384,
            crop=380,
            interpolation="bicubic",
        ),
        timm_weights("efficientnet_b4.ra2_in1k", "efficientnet_b4_ra2_320-7eb33cd5.pth", 82.658, name="timm", size=320),
    ),
)
def efficientnet_b4(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B4."""
    return EfficientNet(num_classes, B4)


@register_model(
    input_shape=(3, 456, 456),
    params=30_389_784,
    macs=10_266_384_752,
    paper=PAPER,
    reference="torchvision/efficientnet_b5",
    weights=(
        torchvision_weights(
            "EfficientNet_B5_Weights.IMAGENET1K_V1",
            "efficientnet_b5_lukemelas-1a07897c.pth",
            83.444,
            resize=456,
            crop=456,
            interpolation="bicubic",
        ),
    ),
)
def efficientnet_b5(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B5."""
    return EfficientNet(num_classes, B5, eps=1e-3, momentum=0.01)


@register_model(
    input_shape=(3, 528, 528),
    params=43_040_704,
    macs=19_067_593_536,
    paper=PAPER,
    reference="torchvision/efficientnet_b6",
    weights=(
        torchvision_weights(
            "EfficientNet_B6_Weights.IMAGENET1K_V1",
            "efficientnet_b6_lukemelas-24a108a5.pth",
            84.008,
            resize=528,
            crop=528,
            interpolation="bicubic",
        ),
    ),
)
def efficientnet_b6(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B6."""
    return EfficientNet(num_classes, B6, eps=1e-3, momentum=0.01)


@register_model(
    input_shape=(3, 600, 600),
    params=66_347_960,
    macs=37_745_884_192,
    paper=PAPER,
    reference="torchvision/efficientnet_b7",
    weights=(
        torchvision_weights(
            "EfficientNet_B7_Weights.IMAGENET1K_V1",
            "efficientnet_b7_lukemelas-c5b4e57e.pth",
            84.122,
            resize=600,
            crop=600,
            interpolation="bicubic",
        ),
    ),
)
def efficientnet_b7(num_classes: int = 1000) -> nn.Module:
    """EfficientNet-B7."""
    return EfficientNet(num_classes, B7, eps=1e-3, momentum=0.01)
