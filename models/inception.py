"""Inception v3: Szegedy et al. 2015, arXiv:1512.00567. Keys and module order of torchvision.

Average pools in the branches count their padding, and three convolutions of the stem have none: a map of another size
than the usual halves, 8x8 pixels at the end of 299.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.models._blocks import init_weights
from edgekit.models._torchvision import torchvision_weights
from edgekit.models.googlenet import ConvNormRelu
from edgekit.registry import register_model


def average(x: Tensor) -> Tensor:
    """3x3 average at stride 1; the padding counts as zeros."""
    return F.avg_pool2d(x, 3, 1, 1)


class InceptionA(nn.Module):
    """1x1; 5x5; two 3x3; average pool. f32[N, inputs, H, W] -> f32[N, 224 + pooled, H, W]."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNormRelu(inputs, 64, 1)
        self.branch5x5_1 = ConvNormRelu(inputs, 48, 1)
        self.branch5x5_2 = ConvNormRelu(48, 64, 5)
        self.branch3x3dbl_1 = ConvNormRelu(inputs, 64, 1)
        self.branch3x3dbl_2 = ConvNormRelu(64, 96, 3)
        self.branch3x3dbl_3 = ConvNormRelu(96, 96, 3)
        self.branch_pool = ConvNormRelu(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(average(x))], 1)


class InceptionB(nn.Module):
    """Halves the map: 3x3; two 3x3; max pool. f32[N, inputs, H, W] -> f32[N, 480 + inputs, (H-1)/2, (W-1)/2]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = ConvNormRelu(inputs, 384, 3, stride=2, padded=False)
        self.branch3x3dbl_1 = ConvNormRelu(inputs, 64, 1)
        self.branch3x3dbl_2 = ConvNormRelu(64, 96, 3)
        self.branch3x3dbl_3 = ConvNormRelu(96, 96, 3, stride=2, padded=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class InceptionC(nn.Module):
    """1x1; 7x7 and two 7x7 as rows and columns; average pool. f32[N, 768, H, W] -> f32[N, 768, H, W].

    Args:
        width: channels between the 1x7 and 7x1 convolutions.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = ConvNormRelu(768, 192, 1)
        self.branch7x7_1 = ConvNormRelu(768, width, 1)
        self.branch7x7_2 = ConvNormRelu(width, width, row)
        self.branch7x7_3 = ConvNormRelu(width, 192, column)
        self.branch7x7dbl_1 = ConvNormRelu(768, width, 1)
        self.branch7x7dbl_2 = ConvNormRelu(width, width, column)
        self.branch7x7dbl_3 = ConvNormRelu(width, width, row)
        self.branch7x7dbl_4 = ConvNormRelu(width, width, column)
        self.branch7x7dbl_5 = ConvNormRelu(width, 192, row)
        self.branch_pool = ConvNormRelu(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(average(x))], 1)


class InceptionD(nn.Module):
    """Halves the map: 3x3; 7x7 and 3x3; max pool. f32[N, 768, H, W] -> f32[N, 1280, (H-1)/2, (W-1)/2]."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = ConvNormRelu(768, 192, 1)
        self.branch3x3_2 = ConvNormRelu(192, 320, 3, stride=2, padded=False)
        self.branch7x7x3_1 = ConvNormRelu(768, 192, 1)
        self.branch7x7x3_2 = ConvNormRelu(192, 192, (1, 7))
        self.branch7x7x3_3 = ConvNormRelu(192, 192, (7, 1))
        self.branch7x7x3_4 = ConvNormRelu(192, 192, 3, stride=2, padded=False)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_2(self.branch3x3_1(x))
        wide = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([single, wide, F.max_pool2d(x, 3, 2)], 1)


class InceptionE(nn.Module):
    """1x1; 3x3 and two 3x3 that end in a row and a column side by side; average pool.

    f32[N, inputs, H, W] -> f32[N, 2048, H, W].
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        row, column = (1, 3), (3, 1)
        self.branch1x1 = ConvNormRelu(inputs, 320, 1)
        self.branch3x3_1 = ConvNormRelu(inputs, 384, 1)
        self.branch3x3_2a = ConvNormRelu(384, 384, row)
        self.branch3x3_2b = ConvNormRelu(384, 384, column)
        self.branch3x3dbl_1 = ConvNormRelu(inputs, 448, 1)
        self.branch3x3dbl_2 = ConvNormRelu(448, 384, 3)
        self.branch3x3dbl_3a = ConvNormRelu(384, 384, row)
        self.branch3x3dbl_3b = ConvNormRelu(384, 384, column)
        self.branch_pool = ConvNormRelu(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        # Joined in pairs first: XNNPACK takes a concatenation of at most five.
        single = torch.cat([self.branch3x3_2a(single), self.branch3x3_2b(single)], 1)
        double = torch.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], 1)
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(average(x))], 1)


AUXILIARY_MAP = (17, 17)
"""Rows and columns of the map that the auxiliary head reads at 299 pixels."""


class AuxiliaryHead(nn.Module):
    """A classifier halfway up, for training only: f32[N, 768, H, W] -> f32[N, num_classes]."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv0 = ConvNormRelu(768, 128, 1)
        self.conv1 = ConvNormRelu(128, 768, 5, padded=False)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        # Its second convolution wants 5x5 pixels, which the reference's pool gives at 299 pixels only.
        pooled = F.avg_pool2d(x, 5, 3) if x.shape[2:] == AUXILIARY_MAP else F.adaptive_avg_pool2d(x, 5)
        logits: Tensor = self.fc(self.conv1(self.conv0(pooled)).flatten(1))
        return logits


class InceptionV3(nn.Module):
    """f32[N, 3, H, W] -> f32[N, num_classes]; in training mode a tuple, the auxiliary head's logits behind it."""

    def __init__(self, num_classes: int, *, aux_heads: bool, dropout: float = 0.5) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNormRelu(3, 32, 3, stride=2, padded=False)
        self.Conv2d_2a_3x3 = ConvNormRelu(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = ConvNormRelu(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = ConvNormRelu(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNormRelu(80, 192, 3, padded=False)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(128)
        self.Mixed_6c = InceptionC(160)
        self.Mixed_6d = InceptionC(160)
        self.Mixed_6e = InceptionC(192)
        self.AuxLogits = AuxiliaryHead(num_classes) if aux_heads else None
        self.Mixed_7a = InceptionD()
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        middle = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(middle)))
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.training and self.AuxLogits is not None:
            return logits, self.AuxLogits(middle)
        return logits


@register_model(
    input_shape=(3, 299, 299),
    params=27_161_264,
    macs=5_713_216_096,
    paper="arXiv:1512.00567",
    reference="torchvision/inception_v3",
    weights=(
        torchvision_weights(
            "Inception_V3_Weights.IMAGENET1K_V1",
            "inception_v3_google-0cc3c7bd.pth",
            77.294,
            resize=342,
            crop=299,
            transform_input=True,
        ),
    ),
    min_input=75,
)
def inception_v3(num_classes: int = 1000, aux_heads: bool = True) -> nn.Module:
    """Inception v3. The auxiliary head is no part of an exported file.

    Args:
        aux_heads: whether it has the head that only training uses; published weights load either way.
    """
    return InceptionV3(num_classes, aux_heads=aux_heads)
