"""Which filters of a graph live and die together, and which of them are chosen among."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgekit.compress.propagate import propagate
from edgekit.compress.unions import FROZEN, Labels, Unions, squeezed


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that makes channels.

    Args:
        module: path of its PyTorch module, or its node's name.
        weight: name of its weights, and `axis` that of the output channels in it.
        bundles: i64[outputs]: the bundle of each filter; 0 for one that cannot be removed.
    """

    module: str
    weight: str
    axis: int
    bundles: Labels = field(repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Layers with the same outputs, and the bundles of filters that are chosen among.

    A bundle is what is removed at once: one filter of each layer that a residual sum adds up, a filter with its
    depthwise one, the filters of a head of attention.

    Args:
        bundles: their numbers, in the order of the first layer's filters.
        layers: in the graph's order.
    """

    bundles: tuple[int, ...] = field(repr=False)
    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        """The first layer's module, "features.0.0"."""
        return self.layers[0].module

    @property
    def filters(self) -> int:
        """Filters of the first layer that a bundle holds."""
        return max(1, int((self.layers[0].bundles != FROZEN).sum()) // len(self.bundles))


@dataclass(frozen=True, slots=True)
class Channels:
    """What every element of a graph belongs to.

    Args:
        values: name of a value -> bundle of each element, i64 of its rank with size 1 where bundles do not vary.
        constants: name of a constant -> axis -> bundle of each slice.
        groups: those that can lose filters, in the graph's order.
    """

    values: dict[str, Labels] = field(repr=False)
    constants: dict[str, dict[int, Labels]] = field(repr=False)
    groups: tuple[Group, ...]


def find_channels(model: ir.Model) -> Channels:
    """The groups of a float graph with static shapes (edgekit.compress.opened)."""
    found = propagate(model)
    sets = found.sets
    values = {name: squeezed(sets.resolved(labels)) for name, labels in found.values.items()}
    constants = {
        name: {axis: sets.resolved(np.atleast_1d(labels)) for axis, labels in axes.items()}
        for name, axes in found.constants.items()
    }
    layers = [Layer(p.module, p.weight, p.axis, sets.resolved(p.labels)) for p in found.producers]
    return Channels(values, constants, tuple(_groups(layers)))


def _groups(layers: list[Layer]) -> list[Group]:
    """Layers that share a bundle are one group."""
    together = Unions()
    numbers: dict[int, np.int64] = {}
    labels = together.fresh(len(layers))
    for layer, label in zip(layers, labels, strict=True):
        for bundle in np.unique(layer.bundles[layer.bundles != FROZEN]).tolist():
            together.join(int(numbers.setdefault(bundle, label)), int(label))
    members: dict[int, list[Layer]] = defaultdict(list)
    for layer, label in zip(layers, labels, strict=True):
        members[together.find(int(label))].append(layer)
    groups = []
    for found in members.values():
        bundles = dict.fromkeys(bundle for layer in found for bundle in layer.bundles.tolist() if bundle != FROZEN)
        if len(bundles) > 1:
            groups.append(Group(tuple(bundles), tuple(found)))
    return groups
