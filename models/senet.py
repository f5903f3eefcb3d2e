"""SENet: Hu et al. 2018, arXiv:1709.01507.

Two forms have the same parameters and compute different things. `seresnet*` is today's ResNet (models/resnet.py) with
squeeze-excite blocks, under timm's keys. `legacy_seresnet*` and `senet154` are the authors' Caffe networks, under the
keys of Cadene's ports: the bottleneck has its stride in the first 1x1, and the first pool has no padding but a last
window that may hang over.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.models._blocks import ConvNormAct, SqueezeExcite, batch_norm, init_weights
from edgekit.models._cadene import cadene_weights
from edgekit.models._timm import timm_weights
from edgekit.models.resnet import REDUCTION, Bottleneck, ResNet
from edgekit.registry import register_model

PAPER = "arXiv:1709.01507"
CADENE = "v0.1-cadene"
"""timm's copy of Cadene's files."""

EXPANSION = 4


@dataclass(frozen=True, slots=True)
class Form:
    """What tells the authors' networks apart. Widths are multiples of the stage's: 64, 128, 256, 512.

    Args:
        stem: (outputs, kernel) of the convolutions before the first pool; the first one has stride 2.
        reduced: width of the first 1x1.
        inner: width of the 3x3.
        groups: of the 3x3.
        stride_first: whether the stride is in the first 1x1, not in the 3x3.
        shortcut: kernel of the strided shortcuts.
        dropout: before the classifier.
    """

    stem: tuple[tuple[int, int], ...] = ((64, 7),)
    reduced: int = 1
    inner: int = 1
    groups: int = 1
    stride_first: bool = True
    shortcut: int = 1
    dropout: float = 0.0


RESNET = Form()
SENET154 = Form(
    stem=((64, 3), (64, 3), (128, 3)), reduced=2, inner=4, groups=64, stride_first=False, shortcut=3, dropout=0.2
)


class LegacyBottleneck(nn.Module):
    """1x1, 3x3, 1x1, squeeze-excite, shortcut added, ReLU.

    f32[N, inputs, H, W] -> f32[N, 4 * width, H/stride, W/stride].
    """

    def __init__(self, inputs: int, width: int, stride: int, form: Form) -> None:
        super().__init__()
        norm, outputs = batch_norm(), width * EXPANSION
        reduced, inner = width * form.reduced, width * form.inner
        first, second = (stride, 1) if form.stride_first else (1, stride)
        self.conv1 = nn.Conv2d(inputs, reduced, 1, first, bias=False)
        self.bn1 = norm(reduced)
        self.conv2 = nn.Conv2d(reduced, inner, 3, second, 1, groups=form.groups, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.se_module = SqueezeExcite(outputs, outputs // REDUCTION, nn.Sigmoid)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            kernel = form.shortcut if stride != 1 else 1
            self.downsample = ConvNormAct(inputs, outputs, kernel, norm=norm, activation=None, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.se_module(self.bn3(self.conv3(y)))
        total: Tensor = self.relu(y + (self.downsample(x) if self.downsample else x))
        return total


def stem_layers(form: Form) -> Iterator[tuple[str, nn.Module]]:
    """Convolution, norm and ReLU of each of the stem's layers, by key."""
    inputs = 3
    for number, (outputs, kernel) in enumerate(form.stem, 1):
        stride = 2 if number == 1 else 1
        yield f"conv{number}", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        yield f"bn{number}", batch_norm()(outputs)
        yield f"relu{number}", nn.ReLU(inplace=True)
        inputs = outputs


def make_stage(inputs: int, width: int, depth: int, stride: int, form: Form) -> nn.Sequential:
    """`depth` blocks; the first one takes the stride."""
    rest = (LegacyBottleneck(width * EXPANSION, width, 1, form) for _ in range(depth - 1))
    return nn.Sequential(LegacyBottleneck(inputs, width, stride, form), *rest)


class SENet(nn.Module):
    """The authors' networks: f32[N, 3, H, W] -> f32[N, num_classes].

    Args:
        depths: blocks of each of the four stages.
    """

    def __init__(self, depths: tuple[int, int, int, int], num_classes: int, form: Form) -> None:
        super().__init__()
        self.layer0 = nn.Sequential(OrderedDict(stem_layers(form)))
        self.pool0 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.layer1 = make_stage(form.stem[-1][0], 64, depths[0], 1, form)
        self.layer2 = make_stage(64 * EXPANSION, 128, depths[1], 2, form)
        self.layer3 = make_stage(128 * EXPANSION, 256, depths[2], 2, form)
        self.layer4 = make_stage(256 * EXPANSION, 512, depths[3], 2, form)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(form.dropout)
        self.last_linear = nn.Linear(512 * EXPANSION, num_classes)
        init_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer4(self.layer3(self.layer2(self.layer1(self.pool0(self.layer0(x))))))
        logits: Tensor = self.last_linear(self.dropout(self.avg_pool(y).flatten(1)))
        return logits


@register_model(
    params=28_088_024,
    macs=4_091_699_200,
    paper=PAPER,
    reference="timm/seresnet50",
    weights=(
        timm_weights("seresnet50.ra2_in1k", "seresnet50_ra_224-8efdb4bb.pth", 80.26, name="imagenet"),
        timm_weights(
            "seresnet50.a2_in1k",
            "seresnet50_a2_0-850de0d9.pth",
            80.102,
            name="imagenet-a2",
            crop_pct=0.95,
            release="v0.1-rsb-weights",
        ),
        timm_weights(
            "seresnet50.a1_in1k",
            "seresnet50_a1_0-ffa00869.pth",
            80.012,
            name="imagenet-a1",
            crop_pct=0.95,
            release="v0.1-rsb-weights",
        ),
    ),
)
def seresnet50(num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-50, v1.5."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, squeeze_excite=True)


@register_model(params=49_326_872, macs=7_806_148_608, paper=PAPER, reference="timm/seresnet101")
def seresnet101(num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-101, v1.5."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, squeeze_excite=True)


@register_model(params=66_821_848, macs=11_520_204_800, paper=PAPER, reference="timm/seresnet152")
def seresnet152(num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-152, v1.5."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, squeeze_excite=True)


@register_model(
    params=28_088_024,
    macs=3_860_488_192,
    paper=PAPER,
    reference="timm/legacy_seresnet50",
    weights=(
        timm_weights(
            "legacy_seresnet50.in1k",
            "se_resnet50-ce0d4300.pth",
            77.65,
            name="imagenet",
            interpolation="bilinear",
            release=CADENE,
        ),
    ),
    min_input=3,
)
def legacy_seresnet50(num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-50 of the authors."""
    return SENet((3, 4, 6, 3), num_classes, RESNET)


@register_model(
    params=49_326_872,
    macs=7_574_937_600,
    paper=PAPER,
    reference="timm/legacy_seresnet101",
    weights=(
        timm_weights(
            "legacy_seresnet101.in1k",
            "se_resnet101-7e38fcc6.pth",
            78.37,
            name="imagenet",
            interpolation="bilinear",
            release=CADENE,
        ),
    ),
    min_input=3,
)
def legacy_seresnet101(num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-101 of the authors."""
    return SENet((3, 4, 23, 3), num_classes, RESNET)


@register_model(
    params=66_821_848,
    macs=11_288_993_792,
    paper=PAPER,
    reference="pretrainedmodels/se_resnet152",
    weights=(
        timm_weights(
            "legacy_seresnet152.in1k",
            "se_resnet152-d17c99b7.pth",
            78.662,
            name="imagenet",
            interpolation="bilinear",
            release=CADENE,
        ),
    ),
    min_input=3,
)
def legacy_seresnet152(num_classes: int = 1000) -> nn.Module:
    """SE-ResNet-152 of the authors."""
    return SENet((3, 8, 36, 3), num_classes, RESNET)


@register_model(
    params=115_088_984,
    macs=20_688_363_520,
    paper=PAPER,
    reference="timm/legacy_senet154",
    weights=(
        timm_weights(
            "legacy_senet154.in1k", "legacy_senet154-e9eb9fe6.pth", 81.32, name="imagenet", interpolation="bilinear"
        ),
        cadene_weights("senet154-c7b49a05.pth", 81.304, name="imagenet-cadene"),
    ),
    min_input=3,
)
def senet154(num_classes: int = 1000) -> nn.Module:
    """SENet-154: three 3x3 in the stem, 64 groups, wide bottlenecks, 3x3 shortcuts."""
    return SENet((3, 8, 36, 3), num_classes, SENET154)
