"""GoogLeNet: Szegedy et al. 2014, arXiv:1409.4842. Keys and module order of torchvision.

torchvision's form has BatchNorm, max pools that round up, and 3x3 filters where the paper has 5x5: a deviation that its
weights were made with.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.models._blocks import batch_norm, init_weights
from edgekit.models._torchvision import torchvision_weights
from edgekit.registry import register_model

EPSILON = 1e-3
"""BatchNorm's epsilon in the weights of GoogLeNet and Inception v3."""


class ConvNormRelu(nn.Module):
    """Conv (no bias), norm, ReLU: keys `conv`, `bn`.

    Args:
        kernel: rows and columns; the padding keeps the size at stride 1 unless `padded` is False.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], *, stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = ((rows - 1) // 2, (columns - 1) // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, (rows, columns), stride, padding, bias=False)
        self.bn = batch_norm(EPSILON)(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and 3x3; 3x3 max pool and 1x1. The map keeps its size.

    Args:
        outputs: channels of the branches.
        reduced: channels of the 1x1 convolutions of the second and third branch.
    """

    def __init__(self, inputs: int, outputs: tuple[int, int, int, int], reduced: tuple[int, int]) -> None:
        super().__init__()
        self.branch1 = ConvNormRelu(inputs, outputs[0], 1)
        self.branch2 = nn.Sequential(ConvNormRelu(inputs, reduced[0], 1), ConvNormRelu(reduced[0], outputs[1], 3))
        self.branch3 = nn.Sequential(ConvNormRelu(inputs, reduced[1], 1), ConvNormRelu(reduced[1], outputs[2], 3))
        pool = nn.MaxPool2d(3, 1, 1, ceil_mode=True)
        self.branch4 = nn.Sequential(pool, ConvNormRelu(inputs, outputs[3], 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class AuxiliaryHead(nn.Module):
    """A classifier halfway up, for training only: f32[N, inputs, H, W] -> f32[N, num_classes]."""

    def __init__(self, inputs: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = ConvNormRelu(inputs, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(F.relu(self.fc1(y))))
        return logits


class GoogLeNet(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes]; in training mode a tuple, the auxiliary heads' logits behind it."""

    def __init__(self, num_classes: int, *, aux_heads: bool, dropout: float = 0.2) -> None:
        super().__init__()
        self.conv1 = ConvNormRelu(3, 64, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = ConvNormRelu(64, 64, 1)
        self.conv3 = ConvNormRelu(64, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a = Inception(192, (64, 128, 32, 32), (96, 16))
        self.inception3b = Inception(256, (128, 192, 96, 64), (128, 32))
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = Inception(480, (192, 208, 48, 64), (96, 16))
        self.inception4b = Inception(512, (160, 224, 64, 64), (112, 24))
        self.inception4c = Inception(512, (128, 256, 64, 64), (128, 24))
        self.inception4d = Inception(512, (112, 288, 64, 64), (144, 32))
        self.inception4e = Inception(528, (256, 320, 128, 128), (160, 32))
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inception5a = Inception(832, (256, 320, 128, 128), (160, 32))
        self.inception5b = Inception(832, (384, 384, 128, 128), (192, 48))
        self.aux1 = AuxiliaryHead(512, num_classes) if aux_heads else None
        self.aux2 = AuxiliaryHead(528, num_classes) if aux_heads else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.maxpool2(self.conv3(self.conv2(self.maxpool1(self.conv1(x)))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        early = self.inception4a(x)
        late = self.inception4d(self.inception4c(self.inception4b(early)))
        x = self.inception5b(self.inception5a(self.maxpool4(self.inception4e(late))))
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return logits, self.aux1(early), self.aux2(late)
        return logits


@register_model(
    params=13_004_888,
    macs=1_498_376_192,
    paper="arXiv:1409.4842",
    reference="torchvision/googlenet",
    weights=(
        torchvision_weights("GoogLeNet_Weights.IMAGENET1K_V1", "googlenet-1378be20.pth", 69.778, transform_input=True),
    ),
    min_input=15,
)
def googlenet(num_classes: int = 1000, aux_heads: bool = True) -> nn.Module:
    """GoogLeNet with BatchNorm. The auxiliary heads are half of the parameters, and no part of an exported file.

    Args:
        aux_heads: whether it has the two heads that only training uses; published weights load either way.
    """
    return GoogLeNet(num_classes, aux_heads=aux_heads)
