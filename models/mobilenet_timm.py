"""MobileNet V2 and V3 under timm's keys: widths with weights of their own, and V3 as TensorFlow trained it.

The networks are those of models/mobilenet_v2.py and models/mobilenet_v3.py, with what belongs to these weights:
epsilon 1e-5 in timm's own, 1e-3 and SAME padding in TensorFlow's. The minimalistic V3 has no squeeze-excite, no
hard-swish and no 5x5 kernel, for accelerators that lack them.
"""

from collections.abc import Iterator
from itertools import groupby

from torch import nn

from edgekit.models import mobilenet_v2 as v2
from edgekit.models import mobilenet_v3 as v3
from edgekit.models._blocks import hard_swish, make_divisible, relu, relu6
from edgekit.models._inverted import TENSORFLOW_EPS, InvertedResidualNet, Row, Stages, Style
from edgekit.models._timm import INCEPTION, timm_weights
from edgekit.registry import Weights, register_model

V2_PAPER, V3_PAPER = "arXiv:1801.04381", "arXiv:1905.02244"

TIMM = Style(gate=nn.Hardsigmoid)
TENSORFLOW = Style(same_padding=True, eps=TENSORFLOW_EPS, gate=nn.Hardsigmoid)


def build_v2(num_classes: int, width: float) -> InvertedResidualNet:
    """MobileNet V2 at a width."""
    stem = channels = make_divisible(v2.STEM * width)
    stages = []
    for expansion, outputs, repeats, stride in v2.ROWS:
        rows, scaled = [], make_divisible(outputs * width)
        for repeat in range(repeats):
            rows.append(Row(3, 1 if repeat else stride, channels * expansion, scaled, relu6))
            channels = scaled
        stages.append(tuple(rows))
    return InvertedResidualNet(
        num_classes, stem, tuple(stages), make_divisible(v2.LAST * max(1.0, width)), Style(), relu6
    )


def build_v3(
    num_classes: int, rows: tuple[v3.Row, ...], head: int, width: float, style: Style, minimal: bool = False
) -> InvertedResidualNet:
    """MobileNet V3 at a width of at most 1."""
    stem, last = v3.stem_width(width), make_divisible(6 * rows[-1].outputs * width)
    chosen = v3.minimalistic(rows) if minimal else rows
    stages = v3_stages(tuple(v3.scale_rows(chosen, stem, width)), rows)
    activation = relu if minimal else hard_swish
    return InvertedResidualNet(num_classes, stem, stages, last, style, activation, hidden=head)


def v3_stages(scaled: tuple[v3.Row, ...], table: tuple[v3.Row, ...]) -> Stages:
    """Rows in timm's stages: neighbours in the paper's table that have as many output channels."""
    groups = groupby(zip(scaled, table, strict=True), key=lambda pair: pair[1].outputs)
    return tuple(tuple(timm_rows(row for row, _ in pairs)) for _, pairs in groups)


def timm_rows(rows: Iterator[v3.Row]) -> Iterator[Row]:
    for row in rows:
        squeezed = make_divisible(row.expanded // 4) if row.squeeze_excite else 0
        activation = hard_swish if row.hard_swish else relu
        yield Row(row.kernel, row.stride, row.expanded, row.outputs, activation, squeezed)


def port(name: str, digits: str, top1: float) -> tuple[Weights]:
    """The record of one of TensorFlow's checkpoints.

    Args:
        digits: the first of its SHA-256.
    """
    file = f"tf_mobilenetv3_{name}-{digits}.pth"
    tag = f"tf_mobilenetv3_{name}.in1k"
    record = timm_weights(tag, file, top1, name="imagenet", interpolation="bilinear", mean=INCEPTION, std=INCEPTION)
    return (record,)


@register_model(
    params=1_968_680,
    macs=97_131_840,
    paper=V2_PAPER,
    reference="timm/mobilenetv2_050",
    weights=(timm_weights("mobilenetv2_050.lamb_in1k", "mobilenetv2_050-3d30d450.pth", 65.928, name="imagenet"),),
)
def mobilenetv2_050(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V2 at width 0.5, timm's."""
    return build_v2(num_classes, 0.5)


@register_model(
    params=6_108_776,
    macs=582_195_824,
    paper=V2_PAPER,
    reference="timm/mobilenetv2_140",
    weights=(timm_weights("mobilenetv2_140.ra_in1k", "mobilenetv2_140_ra-21a4e913.pth", 76.528, name="imagenet"),),
)
def mobilenetv2_140(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V2 at width 1.4, timm's."""
    return build_v2(num_classes, 1.4)


@register_model(
    params=1_593_224,
    macs=24_188_688,
    paper=V3_PAPER,
    reference="timm/mobilenetv3_small_050",
    weights=(
        timm_weights(
            "mobilenetv3_small_050.lamb_in1k", "mobilenetv3_small_050_lambc-4b7bbe87.pth", 57.918, name="imagenet"
        ),
    ),
)
def mobilenetv3_small_050(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Small at width 0.5, timm's."""
    return build_v3(num_classes, v3.SMALL, v3.SMALL_HEAD, 0.5, TIMM)


@register_model(
    params=2_041_872,
    macs=43_399_344,
    paper=V3_PAPER,
    reference="timm/mobilenetv3_small_075",
    weights=(
        timm_weights(
            "mobilenetv3_small_075.lamb_in1k", "mobilenetv3_small_075_lambc-384766db.pth", 65.284, name="imagenet"
        ),
    ),
)
def mobilenetv3_small_075(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Small at width 0.75, timm's."""
    return build_v3(num_classes, v3.SMALL, v3.SMALL_HEAD, 0.75, TIMM)


@register_model(
    params=3_993_528,
    macs=154_560_624,
    paper=V3_PAPER,
    reference="timm/tf_mobilenetv3_large_075",
    weights=port("large_075", "150ee8b0", 73.442),
)
def tf_mobilenetv3_large_075(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Large at width 0.75, TensorFlow's."""
    return build_v3(num_classes, v3.LARGE, v3.LARGE_HEAD, 0.75, TENSORFLOW)


@register_model(
    params=5_483_032,
    macs=216_589_760,
    paper=V3_PAPER,
    reference="timm/tf_mobilenetv3_large_100",
    weights=port("large_100", "427764d5", 75.51),
)
def tf_mobilenetv3_large_100(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Large at width 1, TensorFlow's."""
    return build_v3(num_classes, v3.LARGE, v3.LARGE_HEAD, 1, TENSORFLOW)


@register_model(
    params=3_924_288,
    macs=209_136_704,
    paper=V3_PAPER,
    reference="timm/tf_mobilenetv3_large_minimal_100",
    weights=port("large_minimal_100", "8596ae28", 72.27),
)
def tf_mobilenetv3_large_minimal_100(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Large minimalistic, TensorFlow's."""
    return build_v3(num_classes, v3.LARGE, v3.LARGE_HEAD, 1, TENSORFLOW, minimal=True)


@register_model(
    params=2_041_872,
    macs=43_399_344,
    paper=V3_PAPER,
    reference="timm/tf_mobilenetv3_small_075",
    weights=port("small_075", "da427f52", 65.706),
)
def tf_mobilenetv3_small_075(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Small at width 0.75, TensorFlow's."""
    return build_v3(num_classes, v3.SMALL, v3.SMALL_HEAD, 0.75, TENSORFLOW)


@register_model(
    params=2_542_856,
    macs=56_510_400,
    paper=V3_PAPER,
    reference="timm/tf_mobilenetv3_small_100",
    weights=port("small_100", "37f49e2b", 67.922),
)
def tf_mobilenetv3_small_100(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Small at width 1, TensorFlow's."""
    return build_v3(num_classes, v3.SMALL, v3.SMALL_HEAD, 1, TENSORFLOW)


@register_model(
    params=2_044_736,
    macs=52_288_448,
    paper=V3_PAPER,
    reference="timm/tf_mobilenetv3_small_minimal_100",
    weights=port("small_minimal_100", "922a7843", 62.892),
)
def tf_mobilenetv3_small_minimal_100(num_classes: int = 1000) -> InvertedResidualNet:
    """MobileNet V3 Small minimalistic, TensorFlow's."""
    return build_v3(num_classes, v3.SMALL, v3.SMALL_HEAD, 1, TENSORFLOW, minimal=True)
