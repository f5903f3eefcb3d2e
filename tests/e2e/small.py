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
}
