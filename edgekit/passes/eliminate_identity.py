"""Remove nodes that change nothing."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import bypass, constant, for_each, ints_attribute, shape_of

OP_TYPES = ("Identity", "Dropout", "Cast", "CastLike", "Pad", "Transpose", "Expand", "Slice", "Concat", "Sum", "Add",
            "Sub", "Mul", "Div", "Reshape", "MaxPool", "AveragePool")  # fmt: skip


def eliminate_identity(model: ir.Model) -> bool:
    """Remove Identity, Dropout, Cast to the same type, Pad by nothing, x + 0, x * 1 and their kind.

    Skips: a graph input that is handed straight to a graph output; a Dropout whose mask is read or that trains.
    """
    return for_each(model, OP_TYPES, _eliminate)


def _eliminate(node: ir.Node) -> bool:
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return False
    source = _unchanged_input(node)
    return source is not None and bypass(node, source)


def _unchanged_input(node: ir.Node) -> ir.Value | None:
    """The input that the node's output equals, or None."""
    first = node.inputs[0] if node.inputs else None
    if first is None:
        return None
    same_shape = shape_of(first) is not None and shape_of(first) == shape_of(node.outputs[0])
    match node.op_type:
        case "Identity":
            return first
        case "Dropout":
            training = constant(node.inputs[2]) if len(node.inputs) > 2 else np.False_
            return first if training is not None and not training.any() else None
        case "Cast" | "CastLike":
            return first if first.dtype is not None and first.dtype == node.outputs[0].dtype else None
        case "Pad":
            pads = constant(node.inputs[1])
            return first if pads is not None and not pads.any() else None
        case "Transpose":
            permutation = ints_attribute(node, "perm")
            return first if permutation and list(permutation) == sorted(permutation) else None
        case "Expand" | "Reshape":
            return first if same_shape else None
        case "MaxPool" | "AveragePool":
            # A padded 1x1 window would average or pick zeros that stand beside the map.
            one = set(ints_attribute(node, "kernel_shape")) == {1} and not any(ints_attribute(node, "pads"))
            return first if one and same_shape else None
        case "Slice":
            steps = constant(node.inputs[4]) if len(node.inputs) > 4 else np.ones(1)
            return first if same_shape and steps is not None and (steps > 0).all() else None
        case "Concat" | "Sum":
            return first if len(node.inputs) == 1 else None
    return _neutral_operand(node)


def _neutral_operand(node: ir.Node) -> ir.Value | None:
    """x of x + 0, x - 0, x * 1, x / 1 (and 0 + x, 1 * x), when broadcasting does not change the shape."""
    neutral = 0.0 if node.op_type in ("Add", "Sub") else 1.0
    sides = (0, 1) if node.op_type in ("Add", "Mul") else (0,)
    for side in sides:
        value = node.inputs[side]
        same_shape = shape_of(value) is not None and shape_of(value) == shape_of(node.outputs[0])
        other = constant(node.inputs[1 - side])
        if same_shape and other is not None and bool((other == neutral).all()):
            return value
    return None
