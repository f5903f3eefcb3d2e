"""One way to write a bounded activation."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    float_dtype,
    for_each,
    graph_of,
    new_constant,
    new_node,
    scalar,
    shape_of,
    sole_producer,
    substitute,
)


def canonicalize_clip(model: ir.Model) -> bool:
    """Clip, Min and Max with one number become Clip with two scalar constants, or Relu; chains of them become one.

    Clip(x, 0, none) = Relu(x)          Clip(Relu(x), l, h) = Clip(x, max(l, 0), h)
    A missing bound is written as the type's largest (smallest) finite number.

    Skips: bounds that are computed at run time, are not one number or broadcast the input; integers.
    """
    return for_each(model, ("Clip", "Min", "Max"), _canonicalize)


def clip_bounds(node: ir.Node | None) -> tuple[float, float] | None:
    """(low, high) of a Clip, Relu, or Min / Max with one number; a missing bound is infinite. None: not known."""
    if node is None:
        return None
    dtype = float_dtype(node.outputs[0])
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type == "Clip":
        given = [*node.inputs[1:3], None, None][:2]
        numbers = [scalar(value) for value in given]
        if any(value is not None and number is None for value, number in zip(given, numbers, strict=True)):
            return None
        low, high = numbers
        return _without_limits(-np.inf if low is None else low, np.inf if high is None else high, dtype)
    bound = scalar(node.inputs[1]) if len(node.inputs) == 2 else None
    if bound is None:
        bound = scalar(node.inputs[0]) if len(node.inputs) == 2 else None
    if bound is None:
        return None
    return (-np.inf, bound) if node.op_type == "Min" else (bound, np.inf)


def _without_limits(low: float, high: float, dtype: np.dtype[np.floating]) -> tuple[float, float]:
    """The largest finite number is how a file says "no bound"."""
    if not np.issubdtype(dtype, np.floating):
        return low, high
    limit = float(np.finfo(dtype).max)
    return (-np.inf if low <= -limit else low), (np.inf if high >= limit else high)


def _canonicalize(node: ir.Node) -> bool:
    bounds = clip_bounds(node)
    source = next((value for value in node.inputs if value is not None and scalar(value) is None), None)
    if bounds is None or source is None or source.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        return False
    shape = shape_of(node.outputs[0])
    if node.op_type != "Clip" and shape_of(source) != shape:
        return False
    low, high = bounds
    inner = sole_producer(source, "Relu", "Clip")
    inner_bounds = clip_bounds(inner)
    if inner is not None and inner_bounds is not None and inner_bounds[0] <= high and low <= inner_bounds[1]:
        source = inner.inputs[0]
        low, high = max(low, inner_bounds[0]), min(high, inner_bounds[1])
    elif node.op_type == "Clip" and not _is_rewritable(node, low, high):
        return False
    if low == 0 and high == np.inf:
        substitute(node, [new_node("Relu", [source], of=node, shape=shape)])
        return True
    dtype = float_dtype(node.outputs[0])
    limits = np.finfo(dtype)
    graph, name = graph_of(node), node.outputs[0].name
    minimum = new_constant(graph, f"{name}_min", np.array(max(low, float(limits.min)), dtype))
    maximum = new_constant(graph, f"{name}_max", np.array(min(high, float(limits.max)), dtype))
    substitute(node, [new_node("Clip", [source, minimum, maximum], of=node, shape=shape)])
    return True


def _is_rewritable(node: ir.Node, low: float, high: float) -> bool:
    """Whether a Clip is not yet two scalar constants, or is a Relu."""
    scalars = len(node.inputs) == 3 and all(shape_of(value) == () for value in node.inputs[1:])
    return not scalars or (low == 0 and high == np.inf)
