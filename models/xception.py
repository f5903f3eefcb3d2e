"""Xception: Chollet 2017, arXiv:1610.02357. Keys and module order of Cadene's port and timm's legacy_xception.

The port's BatchNorms have torch's epsilon and its strided pools pad both sides; Keras has 1e-3 and pads the end alone
where a size is even.
"""

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor, nn

from edgekit.models._blocks import batch_norm, init_weights
from edgekit.models._timm import INCEPTION, timm_weights
from edgekit.registry import register_model

MIDDLE = 728
MIDDLE_BLOCKS = range(4, 12)
"""Numbers of the blocks that keep their shape."""


class SeparableConv(nn.Module):
    """3x3 depthwise, 1x1 pointwise, nothing between. f32[N, inputs, H, W] -> f32[N, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, 1, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.conv1(x))
        return y


def branch(widths: tuple[int, ...], relu_first: bool, pool: bool) -> Iterator[nn.Module]:
    """ReLU, separable convolution and norm from each width to the next; a strided pool at the end.

    The first ReLU is not in place: the shortcut reads the same input.
    """
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        if number or relu_first:
            yield nn.ReLU(inplace=number > 0)
        yield SeparableConv(inputs, outputs)
        yield batch_norm()(outputs)
    if pool:
        yield nn.MaxPool2d(3, 2, 1)


class Block(nn.Module):
    """Separable convolutions beside a shortcut.

    f32[N, widths[0], H, W] -> f32[N, widths[-1], H/2, W/2], or the same size where no width changes.
    """

    def __init__(self, *widths: int, relu_first: bool = True) -> None:
        super().__init__()
        self.skip: nn.Module | None = None
        if widths[0] != widths[-1]:
            self.skip = nn.Conv2d(widths[0], widths[-1], 1, 2, bias=False)
            self.skipbn = batch_norm()(widths[-1])
        self.rep = nn.Sequential(*branch(widths, relu_first, pool=self.skip is not None))

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.skipbn(self.skip(x)) if self.skip else x
        y: Tensor = self.rep(x)
        return y + shortcut


class Xception(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes]."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        norm = batch_norm()
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(3, 32, 3, 2, bias=False)
        self.bn1 = norm(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = norm(64)
        self.block1 = Block(64, 128, 128, relu_first=False)
        self.block2 = Block(128, 256, 256)
        self.block3 = Block(256, MIDDLE, MIDDLE)
        for number in MIDDLE_BLOCKS:
            self.add_module(f"block{number}", Block(*[MIDDLE] * 4))
        self.block12 = Block(MIDDLE, MIDDLE, 1024)
        self.conv3 = SeparableConv(1024, 1536)
        self.bn3 = norm(1536)
        self.conv4 = SeparableConv(1536, 2048)
        self.bn4 = norm(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2048, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.block3(self.block2(self.block1(y)))
        for number in MIDDLE_BLOCKS:
            y = self.get_submodule(f"block{number}")(y)
        y = self.block12(y)
        y = self.relu(self.bn3(self.conv3(y)))
        y = self.relu(self.bn4(self.conv4(y)))
        logits: Tensor = self.fc(self.avgpool(y).flatten(1))
        return logits


@register_model(
    input_shape=(3, 299, 299),
    params=22_855_952,
    macs=8_357_403_496,
    paper="arXiv:1610.02357",
    reference="timm/legacy_xception",
    weights=(
        timm_weights(
            "legacy_xception.tf_in1k",
            "xception-43020ad28.pth",
            79.058,
            name="imagenet",
            size=299,
            crop_pct=0.8975,
            mean=INCEPTION,
            std=INCEPTION,
            release="v0.1-cadene",
        ),
    ),
    min_input=7,
)
def xception(num_classes: int = 1000) -> nn.Module:
    """Xception."""
    return Xception(num_classes)
