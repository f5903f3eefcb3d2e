"""VGG: Simonyan and Zisserman 2014, arXiv:1409.1556. Keys and module order of torchvision.

Three quarters of the parameters and more are in the first linear layer; nearly all of the time is in the convolutions.
"""

from torch import Tensor, nn

from edgekit.models._blocks import batch_norm, init_weights, relu
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

PAPER = "arXiv:1409.1556"

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five stages; each ends in a 2x2 max pool."""

A, B, D, E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
"""3x3 convolutions of each stage, by the columns of the paper's table 1 (C has 1x1 convolutions)."""

MAP = 7
"""Rows and columns of the map that the classifier reads; the average pool before it changes nothing at 224 pixels."""

HIDDEN = 4096


class VGG(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        depths: convolutions of each stage.
        normalized: with BatchNorm behind every convolution, which keeps its bias.
    """

    def __init__(self, depths: tuple[int, ...], num_classes: int, *, normalized: bool, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, norm = 3, batch_norm()
        for width, depth in zip(WIDTHS, depths, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), *([norm(width)] if normalized else []), relu()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(MAP)
        self.classifier = nn.Sequential(
            nn.Linear(channels * MAP**2, HIDDEN),
            relu(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, HIDDEN),
            relu(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, num_classes),
        )
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


@register_model(
    params=132_863_336,
    macs=7_609_090_048,
    paper=PAPER,
    reference="torchvision/vgg11",
    weights=(torchvision_weights("VGG11_Weights.IMAGENET1K_V1", "vgg11-8a719046.pth", 69.02),),
    min_input=32,
)
def vgg11(num_classes: int = 1000) -> nn.Module:
    """VGG-11, configuration A."""
    return VGG(A, num_classes, normalized=False)


@register_model(
    params=132_868_840,
    macs=7_609_090_048,
    paper=PAPER,
    reference="torchvision/vgg11_bn",
    weights=(torchvision_weights("VGG11_BN_Weights.IMAGENET1K_V1", "vgg11_bn-6002323d.pth", 70.37),),
    min_input=32,
)
def vgg11_bn(num_classes: int = 1000) -> nn.Module:
    """VGG-11 with BatchNorm."""
    return VGG(A, num_classes, normalized=True)


@register_model(
    params=133_047_848,
    macs=11_308_466_176,
    paper=PAPER,
    reference="torchvision/vgg13",
    weights=(torchvision_weights("VGG13_Weights.IMAGENET1K_V1", "vgg13-19584684.pth", 69.928),),
    min_input=32,
)
def vgg13(num_classes: int = 1000) -> nn.Module:
    """VGG-13, configuration B."""
    return VGG(B, num_classes, normalized=False)


@register_model(
    params=133_053_736,
    macs=11_308_466_176,
    paper=PAPER,
    reference="torchvision/vgg13_bn",
    weights=(torchvision_weights("VGG13_BN_Weights.IMAGENET1K_V1", "vgg13_bn-abd245e5.pth", 71.586),),
    min_input=32,
)
def vgg13_bn(num_classes: int = 1000) -> nn.Module:
    """VGG-13 with BatchNorm."""
    return VGG(B, num_classes, normalized=True)


@register_model(
    params=138_357_544,
    macs=15_470_264_320,
    paper=PAPER,
    reference="torchvision/vgg16",
    weights=(torchvision_weights("VGG16_Weights.IMAGENET1K_V1", "vgg16-397923af.pth", 71.592),),
    min_input=32,
)
def vgg16(num_classes: int = 1000) -> nn.Module:
    """VGG-16, configuration D."""
    return VGG(D, num_classes, normalized=False)


@register_model(
    params=138_365_992,
    macs=15_470_264_320,
    paper=PAPER,
    reference="torchvision/vgg16_bn",
    weights=(torchvision_weights("VGG16_BN_Weights.IMAGENET1K_V1", "vgg16_bn-6c64b313.pth", 73.36),),
    min_input=32,
)
def vgg16_bn(num_classes: int = 1000) -> nn.Module:
    """VGG-16 with BatchNorm."""
    return VGG(D, num_classes, normalized=True)


@register_model(
    params=143_667_240,
    macs=19_632_062_464,
    paper=PAPER,
    reference="torchvision/vgg19",
    weights=(torchvision_weights("VGG19_Weights.IMAGENET1K_V1", "vgg19-dcbb9e9d.pth", 72.376),),
    min_input=32,
)
def vgg19(num_classes: int = 1000) -> nn.Module:
    """VGG-19, configuration E."""
    return VGG(E, num_classes, normalized=False)


@register_model(
    params=143_678_248,
    macs=19_632_062_464,
    paper=PAPER,
    reference="torchvision/vgg19_bn",
    weights=(torchvision_weights("VGG19_BN_Weights.IMAGENET1K_V1", "vgg19_bn-c79401a0.pth", 74.218),),
    min_input=32,
)
def vgg19_bn(num_classes: int = 1000) -> nn.Module:
    """VGG-19 with BatchNorm."""
    return VGG(E, num_classes, normalized=True)
