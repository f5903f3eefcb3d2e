"""Small members of the zoo's families: the same operators in a fraction of the time."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

CLASSES = 16
"""As many as there are images: a settled network knows each as a class of its own."""


class Small(NamedTuple):
    """A builder's options and the input's side in pixels."""

    options: Mapping[str, float | str] = MappingProxyType({})
    size: int = 64


SMALL = {
    "mobilenet_v1": Small({"alpha": 0.5}),
    "mobilenet_v2": Small({"width": 0.5}),
    "mobilenet_v3_large": Small({"width": 0.5}),
    "mobilenet_v3_small": Small({"width": 0.5}),
    "resnet18": Small(),
    "resnet20_cifar": Small(),
    "squeezenet1_1": Small({"bypass": "complex"}),
    "googlenet": Small({"aux_heads": False}),
    "inception_v3": Small({"aux_heads": False}, 96),
    "densenet121": Small({"growth_rate": 16}),
    "condensenet74_c8_g8": Small(),
    "shufflenet_v1_g3": Small({"width": 0.5}),
    "shufflenet_v2_x0_5": Small({"layout": "paper"}),
    "legacy_seresnet50": Small(),
    "seresnet50": Small(),
    "dpn68": Small(),
    "xception": Small({}, 96),
    "nasnet_mobile": Small(),
    "efficientnet_b0": Small(),
    "tf_efficientnet_b0": Small(),
    "efficientnet_lite0": Small(),
    "tf_mobilenetv3_small_minimal_100": Small(),
    "swin_t": Small(),
}

TRANSPOSES = {"swin_t": 4 * 12 + 3}
"""What windows cost, where they cost: four transpositions a block, one a patch merging."""
