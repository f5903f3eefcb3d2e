"""Find layer normalisation in the arithmetic that it was exported as."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.passes.canonicalize_reduce_mean import reduced_axes
from edgekit.passes.rewrite import (
    Array,
    constant,
    float_dtype,
    for_each,
    graph_of,
    has_one_use,
    int_attribute,
    new_constant,
    new_node,
    produced_by,
    scalar,
    shape_of,
    sole_producer,
    substitute,
)


@dataclass(frozen=True, slots=True)
class Normalized:
    """(x - mean) / sqrt(var + epsilon) over the axes from `axis` on."""

    x: ir.Value
    axis: int
    epsilon: float


def fuse_layer_norm(model: ir.Model) -> bool:
    """(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * g + beta becomes LayerNormalization(x, g, beta).

    A missing g is written as ones, a missing beta is left out.

    Shapes: x f32[..., D]; g, beta f32[D] (or the last dimensions).
    Skips:  means over other axes than the last ones; a value in between with another use.
    Source: Ba et al. 2016, arXiv:1607.06450, equation 4.
    """
    return for_each(model, ("Div",), _fuse)


def _fuse(node: ir.Node) -> bool:
    found = _match(node)
    shape = shape_of(node.outputs[0])
    if found is None or shape is None:
        return False
    root = node
    graph, size = graph_of(node), shape[found.axis :]
    scale = _parameter_after(root, "Mul", size)
    if scale is not None:
        root = root.outputs[0].consumers()[0]
    offset = _parameter_after(root, "Add", size)
    if offset is not None:
        root = root.outputs[0].consumers()[0]
    dtype = float_dtype(found.x)
    inputs = [found.x, new_constant(graph, f"{node.name}_scale", np.ones(size, dtype) if scale is None else scale)]
    if offset is not None:
        inputs.append(new_constant(graph, f"{node.name}_offset", offset))
    attributes = {"axis": found.axis, "epsilon": found.epsilon}
    substitute(root, [new_node("LayerNormalization", inputs, attributes, of=root, shape=shape)])
    return True


def _match(node: ir.Node) -> Normalized | None:
    """Match Div(d, Sqrt(mean(d * d) + eps)) with d = x - mean(x)."""
    difference = produced_by(node.inputs[0], "Sub")
    root = sole_producer(node.inputs[1], "Sqrt")
    added = sole_producer(root.inputs[0], "Add") if root is not None else None
    if difference is None or added is None:
        return None
    side = 0 if scalar(added.inputs[0]) is not None else 1
    epsilon = scalar(added.inputs[side])
    variance = sole_producer(added.inputs[1 - side], "ReduceMean")
    square = sole_producer(variance.inputs[0], "Mul", "Pow") if variance is not None else None
    mean = sole_producer(difference.inputs[1], "ReduceMean")
    if epsilon is None or variance is None or square is None or mean is None:
        return None
    d, x = difference.outputs[0], difference.inputs[0]
    exponent = 2.0 if square.op_type == "Mul" and square.inputs[1] is d else scalar(square.inputs[1])
    rank = len(x.shape) if x is not None and x.shape is not None else 0
    axes = reduced_axes(mean)
    trailing = axes is not None and axes == list(range(rank - len(axes), rank)) and axes == reduced_axes(variance)
    inside = all(user in (node, square) for user in d.consumers()) and not d.is_graph_output()
    kept = all(int_attribute(reduce, "keepdims", 1) for reduce in (mean, variance))
    if x is None or not axes or not trailing or not inside or not kept or exponent != 2.0:
        return None
    return Normalized(x, axes[0], epsilon) if mean.inputs[0] is x and square.inputs[0] is d else None


def _parameter_after(node: ir.Node, op_type: str, size: tuple[int, ...]) -> Array | None:
    """The constant of `size` that alone multiplies (is added to) the node's output."""
    value = node.outputs[0]
    if not has_one_use(value) or value.consumers()[0].op_type != op_type:
        return None
    user = value.consumers()[0]
    other = user.inputs[1] if user.inputs[0] is value else user.inputs[0]
    array = constant(other)
    return array if array is not None and array.shape == size else None
