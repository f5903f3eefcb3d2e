"""ResNet: He et al. 2015, arXiv:1512.03385. Keys and module order of torchvision.

The bottleneck has its stride in the 3x3 convolution, as torchvision's weights do ("v1.5"); the paper and Caffe put it
in the first 1x1. Keys and shapes are the same, the outputs are not.

Every builder takes `squeeze_excite`: each block then scales its branch before the sum (Hu et al., models/senet.py).
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.models._blocks import ConvNormAct, SqueezeExcite, batch_norm, init_weights, make_divisible
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import Preprocess, Weights, register_model

PAPER = "arXiv:1512.03385"

Shortcut = Callable[[int, int, int], nn.Module]
"""(inputs, outputs, stride) -> what stands beside a block that changes the shape."""

Attention = Callable[[int], nn.Module]
"""(channels) -> what a block's branch goes through before the sum; shapes stay."""

REDUCTION = 16
"""Channels of a squeeze-excite block over those of its bottleneck: the paper's r."""


def attention_of(squeeze_excite: bool, divisor: int) -> Attention | None:
    """A maker of squeeze-excite blocks with bottlenecks of multiples of `divisor` channels; or None."""
    if not squeeze_excite:
        return None
    return lambda channels: SqueezeExcite(channels, make_divisible(channels / REDUCTION, divisor), nn.Sigmoid)


class SubsampleAndPad(nn.Module):
    """The paper's option A, without parameters: every stride-th pixel, zeros for the new channels on both sides.

    f32[N, inputs, H, W] -> f32[N, outputs, H/stride, W/stride].
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.before, self.after = stride, (outputs - inputs) // 2, (outputs - inputs + 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        pixels = x[:, :, :: self.stride, :: self.stride]
        return F.pad(pixels, (0, 0, 0, 0, self.before, self.after))


def project(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The paper's option B: 1x1 convolution and norm."""
    return ConvNormAct(inputs, outputs, 1, norm=batch_norm(), activation=None, stride=stride)


class BasicBlock(nn.Module):
    """3x3, 3x3, shortcut added, ReLU. f32[N, inputs, H, W] -> f32[N, width, H/stride, W/stride]."""

    expansion = 1

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        attention: Attention | None = None,
    ) -> None:
        super().__init__()
        norm = batch_norm()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.se = attention(width) if attention else None
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y = self.se(y) if self.se else y
        total: Tensor = self.relu(y + (self.downsample(x) if self.downsample else x))
        return total


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, shortcut added, ReLU. f32[N, inputs, H, W] -> f32[N, 4 * width, H/stride, W/stride]."""

    expansion = 4

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        attention: Attention | None = None,
    ) -> None:
        super().__init__()
        norm, outputs = batch_norm(), width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.se = attention(outputs) if attention else None
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y = self.se(y) if self.se else y
        total: Tensor = self.relu(y + (self.downsample(x) if self.downsample else x))
        return total


Block = type[BasicBlock] | type[Bottleneck]


def make_stage(
    block: Block,
    inputs: int,
    width: int,
    depth: int,
    stride: int,
    shortcut: Shortcut,
    attention: Attention | None = None,
) -> nn.Sequential:
    """`depth` blocks; the first one takes the stride, and a shortcut where it changes the shape."""
    outputs = width * block.expansion
    downsample = shortcut(inputs, outputs, stride) if stride != 1 or inputs != outputs else None
    first = block(inputs, width, stride, downsample, attention)
    return nn.Sequential(first, *(block(outputs, width, 1, None, attention) for _ in range(depth - 1)))


class ResNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        depths: blocks of each of the four stages.
        squeeze_excite: in every block. As in timm, its bottleneck is a multiple of 8 channels.
    """

    def __init__(
        self, block: Block, depths: tuple[int, int, int, int], num_classes: int, squeeze_excite: bool = False
    ) -> None:
        super().__init__()
        attention = attention_of(squeeze_excite, divisor=8)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = batch_norm()(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = make_stage(block, 64, 64, depths[0], 1, project, attention)
        self.layer2 = make_stage(block, 64 * block.expansion, 128, depths[1], 2, project, attention)
        self.layer3 = make_stage(block, 128 * block.expansion, 256, depths[2], 2, project, attention)
        self.layer4 = make_stage(block, 256 * block.expansion, 512, depths[3], 2, project, attention)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        logits: Tensor = self.fc(self.avgpool(y).flatten(1))
        return logits


class CifarResNet(nn.Module):
    """The networks of the paper's section 4.2, for small images: f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        depth: layers with weights: 6 n + 2.
        shortcut: option A as in the paper's table 6; many other implementations take `project`, option B.
        squeeze_excite: in every block; widths this small are not rounded.
    """

    def __init__(
        self, depth: int, num_classes: int, shortcut: Shortcut = SubsampleAndPad, squeeze_excite: bool = False
    ) -> None:
        super().__init__()
        attention = attention_of(squeeze_excite, divisor=1)
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = batch_norm()(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = make_stage(BasicBlock, 16, 16, blocks, 1, shortcut, attention)
        self.layer2 = make_stage(BasicBlock, 16, 32, blocks, 2, shortcut, attention)
        self.layer3 = make_stage(BasicBlock, 32, 64, blocks, 2, shortcut, attention)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer3(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x))))))
        logits: Tensor = self.fc(self.avgpool(y).flatten(1))
        return logits


@register_model(
    params=11_689_512,
    macs=1_814_073_344,
    paper=PAPER,
    reference="torchvision/resnet18",
    weights=(torchvision_weights("ResNet18_Weights.IMAGENET1K_V1", "resnet18-f37072fd.pth", 69.758),),
)
def resnet18(num_classes: int = 1000, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-18.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, squeeze_excite)


@register_model(
    params=21_797_672,
    macs=3_663_761_408,
    paper=PAPER,
    reference="torchvision/resnet34",
    weights=(torchvision_weights("ResNet34_Weights.IMAGENET1K_V1", "resnet34-b627a593.pth", 73.314),),
)
def resnet34(num_classes: int = 1000, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-34.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, squeeze_excite)


@register_model(
    params=25_557_032,
    macs=4_089_184_256,
    paper=PAPER,
    reference="torchvision/resnet50",
    weights=(
        torchvision_weights("ResNet50_Weights.IMAGENET1K_V2", "resnet50-11ad3fa6.pth", 80.858, resize=232),
        torchvision_weights("ResNet50_Weights.IMAGENET1K_V1", "resnet50-0676ba61.pth", 76.13, name="imagenet-v1"),
    ),
)
def resnet50(num_classes: int = 1000, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-50, v1.5.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, squeeze_excite)


@register_model(
    params=44_549_160,
    macs=7_801_405_440,
    paper=PAPER,
    reference="torchvision/resnet101",
    weights=(
        torchvision_weights("ResNet101_Weights.IMAGENET1K_V2", "resnet101-cd907fc2.pth", 81.886, resize=232),
        torchvision_weights("ResNet101_Weights.IMAGENET1K_V1", "resnet101-63fe2227.pth", 77.374, name="imagenet-v1"),
    ),
)
def resnet101(num_classes: int = 1000, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-101, v1.5.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, squeeze_excite)


@register_model(
    params=60_192_808,
    macs=11_513_626_624,
    paper=PAPER,
    reference="torchvision/resnet152",
    weights=(
        torchvision_weights("ResNet152_Weights.IMAGENET1K_V2", "resnet152-f82ba261.pth", 82.284, resize=232),
        torchvision_weights("ResNet152_Weights.IMAGENET1K_V1", "resnet152-394f9c45.pth", 78.312, name="imagenet-v1"),
    ),
)
def resnet152(num_classes: int = 1000, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-152, v1.5.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, squeeze_excite)


def cifar_weights(file: str, top1: float) -> Weights:
    """The record of one of Idelbayev's CIFAR-10 networks, the usual reference for option A.

    They were trained with ImageNet's mean and deviation. The hash's first digits are in the file's name.
    """
    repository = "https://github.com/akamaster/pytorch_resnet_cifar10"
    return Weights(
        name="cifar10",
        location=f"{repository}/raw/master/pretrained_models/{file}",
        sha256=file.removesuffix(".th").rpartition("-")[2],
        preprocess=Preprocess(resize=32, crop=(32, 32), labels="cifar10"),
        num_classes=10,
        top1=top1,
        dataset="CIFAR-10",
        source=repository,
    )


@register_model(
    input_shape=(3, 32, 32),
    params=269_722,
    macs=40_551_040,
    paper=PAPER,
    reference="akamaster/resnet20",
    weights=(cifar_weights("resnet20-12fca82f.th", 91.73),),
    num_classes=10,
)
def resnet20_cifar(num_classes: int = 10, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-20 for 32x32 pixels, option A shortcuts.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return CifarResNet(20, num_classes, squeeze_excite=squeeze_excite)


@register_model(
    input_shape=(3, 32, 32),
    params=464_154,
    macs=68_862_592,
    paper=PAPER,
    reference="akamaster/resnet32",
    weights=(cifar_weights("resnet32-d509ac18.th", 92.63),),
    num_classes=10,
)
def resnet32_cifar(num_classes: int = 10, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-32 for 32x32 pixels, option A shortcuts.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return CifarResNet(32, num_classes, squeeze_excite=squeeze_excite)


@register_model(
    input_shape=(3, 32, 32),
    params=853_018,
    macs=125_485_696,
    paper=PAPER,
    reference="akamaster/resnet56",
    weights=(cifar_weights("resnet56-4bfd9763.th", 93.39),),
    num_classes=10,
)
def resnet56_cifar(num_classes: int = 10, squeeze_excite: bool = False) -> nn.Module:
    """ResNet-56 for 32x32 pixels, option A shortcuts.

    Args:
        squeeze_excite: whether every block scales its branch by a squeeze-excite gate before the sum.
    """
    return CifarResNet(56, num_classes, squeeze_excite=squeeze_excite)
