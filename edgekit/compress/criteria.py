"""What a filter is worth: the criteria of the papers, a score per bundle."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.compress.channels import Channels, Layer
from edgekit.compress.unions import FROZEN
from edgekit.errors import EdgekitError
from edgekit.passes.rewrite import constant

Array = NDArray[Any]
Scores = dict[int, float]


def l1(filters: Array) -> Array:
    """Sum of absolute weights. Source: Li et al. 2017, arXiv:1608.08710, section 3.1."""
    return np.asarray(np.abs(filters).sum(1))


def l2(filters: Array) -> Array:
    """Root of the sum of squared weights."""
    return np.asarray(np.sqrt(np.square(filters).sum(1)))


def geometric_median(filters: Array) -> Array:
    """Sum of the distances to all filters of the layer: one near the median can be expressed by the others.

    Source: He et al. 2019, arXiv:1811.00250, section 3.3.
    """
    squares = np.square(filters).sum(1)
    distances = squares[:, None] + squares[None] - 2 * filters @ filters.T
    return np.asarray(np.sqrt(np.maximum(distances, 0)).sum(1))


WEIGHTS: dict[str, Callable[[Array], Array]] = {"l1": l1, "l2": l2, "geometric-median": geometric_median}
CRITERIA = (*WEIGHTS, "batch-norm", "taylor")


def score(model: ir.Model, channels: Channels, criterion: str, gradients: Mapping[str, Array] | None = None) -> Scores:
    """Bundle -> worth, the sum over the layers of its group; the smallest are removed first.

    Args:
        gradients: name of a weight -> mean gradient of the loss, for "taylor".

    Raises:
        EdgekitError: EK302 for "batch-norm" in a model without BatchNorm.
    """
    if criterion == "batch-norm":
        return _by_batch_norm(model, channels)
    found: Scores = defaultdict(float)
    for group in channels.groups:
        for layer in group.layers:
            _add(found, layer.bundles, _worth(model, layer, criterion, gradients))
    return dict(found)


def _worth(model: ir.Model, layer: Layer, criterion: str, gradients: Mapping[str, Array] | None) -> Array:
    weights = rows(model, layer)
    if criterion != "taylor":
        return WEIGHTS[criterion](weights.astype(np.float64))
    assert gradients is not None
    slopes = np.moveaxis(gradients[layer.weight], layer.axis, 0).reshape(weights.shape)
    # (sum of g w)^2 over a filter: the loss without it, to first order. Molchanov et al. 2019, arXiv:1906.10771, (8).
    return np.asarray(np.square((weights.astype(np.float64) * slopes).sum(1)))


def rows(model: ir.Model, layer: Layer) -> Array:
    """f32[outputs, weights of one filter]."""
    array = constant(model.graph.initializers[layer.weight])
    assert array is not None
    return np.moveaxis(array, layer.axis, 0).reshape(array.shape[layer.axis], -1)


def _by_batch_norm(model: ir.Model, channels: Channels) -> Scores:
    """|gamma| of the BatchNorm behind. Source: Liu et al. 2017, arXiv:1708.06519; layers without one go by L1."""
    found: Scores = defaultdict(float)
    for node in model.graph:
        gamma = constant(node.inputs[1]) if node.op_type == "BatchNormalization" else None
        name = str(node.inputs[1].name) if gamma is not None and node.inputs[1] is not None else ""
        if gamma is not None and name in channels.constants:
            _add(found, channels.constants[name][0], np.abs(gamma))
    if not found:
        raise EdgekitError(
            "EK302",
            what="the criterion batch-norm needs BatchNorm layers, and the model has none",
            where="--criterion",
            fix="choose another: l1, l2, geometric-median",
        )
    without = [group for group in channels.groups if not any(bundle in found for bundle in group.bundles)]
    by_weights = score(model, Channels({}, {}, tuple(without)), "l1")
    return {**by_weights, **found}


def _add(found: Scores, bundles: Array, worth: Array) -> None:
    for bundle, value in zip(bundles.tolist(), worth.tolist(), strict=True):
        if bundle != FROZEN:
            found[bundle] = found.get(bundle, 0.0) + value
