"""EfficientNet as TensorFlow trained it: keys and module order of timm's `tf_efficientnet_*`.

The tensors are those of models/efficientnet.py; padding (SAME) and epsilon (1e-3) are not, and belong to the weights:
plain training, AutoAugment (arXiv:1805.09501), RandAugment (arXiv:1909.13719), AdvProp (arXiv:1911.09665) and Noisy
Student (arXiv:1911.04252). FixEfficientNet (arXiv:2003.08237) tunes the last layers of these networks for a larger
input, resized to int(256 / 224 * pixels); its files have these tensors too: `--weights FILE --input-size 320`.
"""

from edgekit.models._blocks import make_divisible, silu
from edgekit.models._efficientnet import (
    B0,
    B1,
    B2,
    B3,
    B4,
    B5,
    B6,
    B7,
    B8,
    DROPPED,
    L2,
    LAST,
    PAPER,
    SQUEEZE,
    STEM,
    Scaling,
    scale_rows,
)
from edgekit.models._inverted import TENSORFLOW_EPS, InvertedResidualNet, Row, Stages, Style
from edgekit.models._timm import IMAGENET_MEAN, IMAGENET_STD, INCEPTION, timm_weights
from edgekit.registry import Weights, register_model

STYLE = Style(same_padding=True, eps=TENSORFLOW_EPS, squeezed_activation=silu)

TRAINING = {
    "ns_jft": "noisy-student",
    "ap": "advprop",
    "ra": "randaugment",
    "aa": "autoaugment",
    "": "imagenet",
}
"""timm's word for how a file was trained -> the name that `--weights` takes."""


def scale_stages(scaling: Scaling) -> Stages:
    """B0's table at another width and depth."""
    channels, depth = make_divisible(STEM * scaling.width), sum(row[-1] for row in scale_rows(scaling))
    stages, done = [], 0
    for expansion, kernel, stride, outputs, repeats in scale_rows(scaling):
        rows = []
        for repeat in range(repeats):
            squeezed, drop = max(1, channels // SQUEEZE), DROPPED * done / depth
            step = 1 if repeat else stride
            rows.append(Row(kernel, step, channels * expansion, outputs, silu, squeezed, drop))
            channels, done = outputs, done + 1
        stages.append(tuple(rows))
    return tuple(stages)


def build(num_classes: int, scaling: Scaling) -> InvertedResidualNet:
    stem, last = (make_divisible(channels * scaling.width) for channels in (STEM, LAST))
    return InvertedResidualNet(num_classes, stem, scale_stages(scaling), last, STYLE, silu, dropout=scaling.dropout)


def port(network: str, training: str, digits: str, top1: float, scaling: Scaling, crop_pct: float) -> Weights:
    """The record of one of TensorFlow's checkpoints at its network's resolution.

    Args:
        digits: the first of its SHA-256.
    """
    inception = training == "ap"
    return timm_weights(
        f"tf_efficientnet_{network}.{training}_in1k".replace("._", "."),
        f"tf_efficientnet_{network}_{training.removesuffix('_jft')}-{digits}.pth".replace("_-", "-"),
        top1,
        name=TRAINING[training],
        size=scaling.pixels,
        crop_pct=crop_pct,
        mean=INCEPTION if inception else IMAGENET_MEAN,
        std=INCEPTION if inception else IMAGENET_STD,
    )


@register_model(
    params=5_288_548,
    macs=385_814_752,
    paper=PAPER,
    reference="timm/tf_efficientnet_b0",
    weights=(
        port("b0", "ns_jft", "c0e6a31c", 78.68, B0, 0.875),
        port("b0", "ap", "f262efe1", 77.1, B0, 0.875),
        port("b0", "aa", "827b6e33", 76.882, B0, 0.875),
        port("b0", "", "0af12548", 76.542, B0, 0.875),
    ),
)
def tf_efficientnet_b0(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B0, TensorFlow's."""
    return build(num_classes, B0)


@register_model(
    input_shape=(3, 240, 240),
    params=7_794_184,
    macs=686_802_832,
    paper=PAPER,
    reference="timm/tf_efficientnet_b1",
    weights=(
        port("b1", "ns_jft", "99dd0c41", 81.388, B1, 0.882),
        port("b1", "ap", "44ef0a3d", 79.288, B1, 0.882),
        port("b1", "aa", "ea7a6ee0", 78.84, B1, 0.882),
        port("b1", "", "5c1377c4", 78.546, B1, 0.882),
    ),
)
def tf_efficientnet_b1(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B1, TensorFlow's."""
    return build(num_classes, B1)


@register_model(
    input_shape=(3, 260, 260),
    params=9_109_994,
    macs=993_561_872,
    paper=PAPER,
    reference="timm/tf_efficientnet_b2",
    weights=(
        port("b2", "ns_jft", "00306e48", 82.412, B2, 0.89),
        port("b2", "ap", "2f8e7636", 80.3, B2, 0.89),
        port("b2", "aa", "60c94f97", 80.074, B2, 0.89),
        port("b2", "", "e393ef04", 79.612, B2, 0.89),
    ),
)
def tf_efficientnet_b2(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B2, TensorFlow's."""
    return build(num_classes, B2)


@register_model(
    input_shape=(3, 300, 300),
    params=12_233_232,
    macs=1_827_141_392,
    paper=PAPER,
    reference="timm/tf_efficientnet_b3",
    weights=(
        port("b3", "ns_jft", "9d44bf68", 84.054, B3, 0.904),
        port("b3", "ap", "aad25bdd", 81.842, B3, 0.904),
        port("b3", "aa", "84b4657e", 81.648, B3, 0.904),
        port("b3", "", "e3bd6955", 80.878, B3, 0.904),
    ),
)
def tf_efficientnet_b3(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B3, TensorFlow's."""
    return build(num_classes, B3)


@register_model(
    input_shape=(3, 380, 380),
    params=19_341_616,
    macs=4_393_771_024,
    paper=PAPER,
    reference="timm/tf_efficientnet_b4",
    weights=(
        port("b4", "ns_jft", "d6313a46", 85.156, B4, 0.922),
        port("b4", "ap", "dedb23e6", 83.246, B4, 0.922),
        port("b4", "aa", "818f208c", 83.04, B4, 0.922),
        port("b4", "", "74ee3bed", 82.598, B4, 0.922),
    ),
)
def tf_efficientnet_b4(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B4, TensorFlow's."""
    return build(num_classes, B4)


@register_model(
    input_shape=(3, 456, 456),
    params=30_389_784,
    macs=10_266_384_752,
    paper=PAPER,
    reference="timm/tf_efficientnet_b5",
    weights=(
        port("b5", "ns_jft", "6f26d0cf", 86.096, B5, 0.934),
        port("b5", "ap", "9e82fae8", 84.258, B5, 0.934),
        port("b5", "ra", "9a3e5369", 83.834, B5, 0.934),
        port("b5", "aa", "99018a74", 83.696, B5, 0.934),
        port("b5", "", "c6949ce9", 83.17, B5, 0.934),
    ),
)
def tf_efficientnet_b5(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B5, TensorFlow's."""
    return build(num_classes, B5)


@register_model(
    input_shape=(3, 528, 528),
    params=43_040_704,
    macs=19_067_593_536,
    paper=PAPER,
    reference="timm/tf_efficientnet_b6",
    weights=(
        port("b6", "ns_jft", "51548356", 86.476, B6, 0.942),
        port("b6", "ap", "4ffb161f", 84.794, B6, 0.942),
        port("b6", "aa", "80ba17e4", 84.124, B6, 0.942),
    ),
)
def tf_efficientnet_b6(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B6, TensorFlow's."""
    return build(num_classes, B6)


@register_model(
    input_shape=(3, 600, 600),
    params=66_347_960,
    macs=37_745_884_192,
    paper=PAPER,
    reference="timm/tf_efficientnet_b7",
    weights=(
        port("b7", "ns_jft", "1dbc32de", 86.85, B7, 0.949),
        port("b7", "ap", "ddb28fec", 85.132, B7, 0.949),
        port("b7", "ra", "6c08e654", 84.926, B7, 0.949),
        port("b7", "aa", "076e3472", 84.424, B7, 0.949),
    ),
)
def tf_efficientnet_b7(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B7, TensorFlow's."""
    return build(num_classes, B7)


@register_model(
    input_shape=(3, 672, 672),
    params=87_413_142,
    macs=62_597_461_568,
    paper=PAPER,
    reference="timm/tf_efficientnet_b8",
    weights=(
        port("b8", "ap", "00e169fa", 85.358, B8, 0.954),
        port("b8", "ra", "572d5dd9", 85.344, B8, 0.954),
    ),
)
def tf_efficientnet_b8(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-B8, TensorFlow's."""
    return build(num_classes, B8)


@register_model(
    input_shape=(3, 475, 475),
    params=480_309_308,
    macs=170_892_857_680,
    paper="arXiv:1911.04252",
    reference="timm/tf_efficientnet_l2",
    weights=(
        port("l2", "ns_jft", "df73bb44", 88.36, L2, 0.96),
        timm_weights(
            "tf_efficientnet_l2.ns_jft_in1k_475",
            "tf_efficientnet_l2_ns_475-bebbd00a.pth",
            88.246,
            name="noisy-student-475",
            size=475,
            crop_pct=0.936,
        ),
    ),
)
def tf_efficientnet_l2(num_classes: int = 1000) -> InvertedResidualNet:
    """EfficientNet-L2, Noisy Student's largest; its weights are for 800 or 475 pixels."""
    return build(num_classes, L2)
