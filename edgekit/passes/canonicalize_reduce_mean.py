"""One way to write the mean over a feature map."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    for_each,
    graph_of,
    int_attribute,
    ints_attribute,
    new_constant,
    new_node,
    shape_of,
    substitute,
)


def canonicalize_reduce_mean(model: ir.Model) -> bool:
    """ReduceMean over (2, 3) of f32[N,C,H,W], and an AveragePool as large as the map, become GlobalAveragePool.

    keepdims=0 adds a Reshape to [N,C].

    Skips: other axes or ranks (canonicalize_axes writes those); a padded pool.
    """
    means = for_each(model, ("ReduceMean",), _canonicalize_mean)
    return for_each(model, ("AveragePool",), _canonicalize_pool) or means


def reduced_axes(node: ir.Node) -> list[int] | None:
    """The axes of a reduction as non-negative numbers, in order; None when they are not constant."""
    shape = shape_of(node.inputs[0])
    if shape is None:
        return None
    given: list[int] | None = None
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        array = constant(node.inputs[1])
        if array is None:
            return None
        given = [int(axis) for axis in array.reshape(-1)]
    elif "axes" in node.attributes:
        given = list(ints_attribute(node, "axes"))
    if not given:
        return [] if int_attribute(node, "noop_with_empty_axes") else list(range(len(shape)))
    return sorted(axis % len(shape) for axis in given)


def _canonicalize_mean(node: ir.Node) -> bool:
    shape, source = shape_of(node.inputs[0]), node.inputs[0]
    if shape is None or len(shape) != 4 or source is None or reduced_axes(node) != [2, 3]:
        return False
    pooled = (shape[0], shape[1], 1, 1)
    if int_attribute(node, "keepdims", 1):
        substitute(node, [new_node("GlobalAveragePool", [source], of=node, shape=pooled)])
        return True
    pool = new_node("GlobalAveragePool", [source], of=node, suffix="pool", shape=pooled)
    target = new_constant(graph_of(node), f"{node.outputs[0].name}_shape", np.array(shape[:2], np.int64))
    substitute(node, [pool, new_node("Reshape", [pool.outputs[0], target], of=node, shape=shape[:2])])
    return True


def _canonicalize_pool(node: ir.Node) -> bool:
    shape, kernel, source = shape_of(node.inputs[0]), ints_attribute(node, "kernel_shape"), node.inputs[0]
    whole = shape is not None and len(shape) == 4 and tuple(kernel or ()) == shape[2:]
    if not whole or shape is None or source is None or shape_of(node.outputs[0]) != (*shape[:2], 1, 1):
        return False
    if "auto_pad" in node.attributes or any(ints_attribute(node, "pads")):
        return False
    substitute(node, [new_node("GlobalAveragePool", [source], of=node, shape=(*shape[:2], 1, 1))])
    return True
