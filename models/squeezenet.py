"""SqueezeNet: Iandola et al. 2016, arXiv:1602.07360. Keys and module order of torchvision.

The max pools round up (`ceil_mode`), the first convolution has no padding, and a ReLU stands behind the last
convolution: logits are never negative.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from edgekit.models._blocks import check_positive, relu
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

PAPER = "arXiv:1602.07360"

BASE, STEP, EVERY, FIRES = 128, 128, 2, 8
"""Fire i of 0..FIRES-1 gives BASE + STEP * (i // EVERY) channels: the paper's base_e, incr_e and freq."""

Bypass = Literal["none", "simple", "complex"]
BYPASSES = ("none", "simple", "complex")


def fire_widths(squeeze_ratio: float, share3x3: float) -> list[tuple[int, int, int]]:
    """(squeeze, 1x1, 3x3) filters of each fire module; ValueError where one of them would have none.

    Source: section 5.1: e = e1 + e3 filters, e3 = share3x3 * e, squeeze = squeeze_ratio * e, each rounded.
    """
    check_positive(squeeze_ratio=squeeze_ratio)
    widths = []
    for expand in (BASE + STEP * (fire // EVERY) for fire in range(FIRES)):
        squeeze, wide = round(squeeze_ratio * expand), round(share3x3 * expand)
        if not squeeze:
            raise ValueError(f"squeeze_ratio is {squeeze_ratio}, it leaves no filter of {expand}")
        if not 0 < wide < expand:
            raise ValueError(f"share3x3 is {share3x3}, it must leave 1x1 and 3x3 filters among {expand}")
        widths.append((squeeze, expand - wide, wide))
    return widths


class Fire(nn.Module):
    """Squeeze 1x1, then 1x1 and 3x3 side by side: f32[N, inputs, H, W] -> f32[N, expand1x1 + expand3x3, H, W].

    Args:
        bypass: what is added to the result: an identity, a 1x1 convolution, or None.
    """

    def __init__(self, inputs: int, squeeze: int, expand1x1: int, expand3x3: int, bypass: nn.Module | None) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.squeeze_activation = relu()
        self.expand1x1 = nn.Conv2d(squeeze, expand1x1, 1)
        self.expand1x1_activation = relu()
        self.expand3x3 = nn.Conv2d(squeeze, expand3x3, 3, padding=1)
        self.expand3x3_activation = relu()
        self.bypass = bypass

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(y))
        wide = self.expand3x3_activation(self.expand3x3(y))
        expanded = torch.cat([narrow, wide], 1)
        return expanded if self.bypass is None else expanded + self.bypass(x)


def make_bypass(kind: Bypass, inputs: int, outputs: int) -> nn.Module | None:
    """What stands beside a fire module (section 6): simple only where its width does not change."""
    if kind != "none" and inputs == outputs:
        return nn.Identity()
    return nn.Conv2d(inputs, outputs, 1) if kind == "complex" else None


class SqueezeNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        stem: the first convolution: 3 channels in, stride 2, no padding.
        pooled: fire modules, counted from 0, with a max pool in front.
    """

    def __init__(
        self,
        stem: nn.Conv2d,
        pooled: tuple[int, ...],
        num_classes: int,
        *,
        bypass: Bypass,
        squeeze_ratio: float,
        share3x3: float,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if bypass not in BYPASSES:
            raise ValueError(f"bypass is {bypass!r}, it must be one of {', '.join(BYPASSES)}")
        layers: list[nn.Module] = [stem, relu()]
        channels = stem.out_channels
        for fire, (squeeze, narrow, wide) in enumerate(fire_widths(squeeze_ratio, share3x3)):
            if fire in pooled:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            layers.append(Fire(channels, squeeze, narrow, wide, make_bypass(bypass, channels, narrow + wide)))
            channels = narrow + wide
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(channels, num_classes, 1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), last, relu(), nn.AdaptiveAvgPool2d(1))
        init_convolutions(self, last)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)).flatten(1)
        return logits


def init_convolutions(module: nn.Module, last: nn.Conv2d) -> None:
    """He initialisation by inputs: by outputs, without norms, each squeeze would amplify and each expand lose signal.

    `last` gets N(0, 0.01^2): wider, its ReLU would switch classes off for good.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
    nn.init.normal_(last.weight, 0.0, 0.01)


@register_model(
    params=1_248_424,
    macs=818_924_576,
    paper=PAPER,
    reference="torchvision/squeezenet1_0",
    weights=(torchvision_weights("SqueezeNet1_0_Weights.IMAGENET1K_V1", "squeezenet1_0-b66bff10.pth", 58.092),),
    min_input=21,
)
def squeezenet1_0(
    num_classes: int = 1000, bypass: Bypass = "none", squeeze_ratio: float = 0.125, share3x3: float = 0.5
) -> nn.Module:
    """SqueezeNet 1.0.

    Args:
        bypass: additions around fire modules: "none", "simple" (identities around every second one) or "complex" (also
            1x1 convolutions around the others).
        squeeze_ratio: filters of a squeeze layer per filter of the layer behind it, above 0.
        share3x3: share of 3x3 filters among those, above 0 and below 1.
    """
    options = {"squeeze_ratio": squeeze_ratio, "share3x3": share3x3}
    return SqueezeNet(nn.Conv2d(3, 96, 7, 2), (0, 3, 7), num_classes, bypass=bypass, **options)


@register_model(
    params=1_235_496,
    macs=349_151_936,
    paper=PAPER,
    reference="torchvision/squeezenet1_1",
    weights=(torchvision_weights("SqueezeNet1_1_Weights.IMAGENET1K_V1", "squeezenet1_1-b8a52dc0.pth", 58.178),),
    min_input=17,
)
def squeezenet1_1(
    num_classes: int = 1000, bypass: Bypass = "none", squeeze_ratio: float = 0.125, share3x3: float = 0.5
) -> nn.Module:
    """SqueezeNet 1.1: a smaller stem and earlier pools, 2.3 times fewer MACs at the same accuracy.

    Args:
        bypass: additions around fire modules: "none", "simple" (identities around every second one) or "complex" (also
            1x1 convolutions around the others).
        squeeze_ratio: filters of a squeeze layer per filter of the layer behind it, above 0.
        share3x3: share of 3x3 filters among those, above 0 and below 1.
    """
    options = {"squeeze_ratio": squeeze_ratio, "share3x3": share3x3}
    return SqueezeNet(nn.Conv2d(3, 64, 3, 2), (0, 2, 4), num_classes, bypass=bypass, **options)
