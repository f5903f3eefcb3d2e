"""Write lengths and reciprocals in operators that every target has."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    float_dtype,
    for_each,
    graph_of,
    int_attribute,
    new_constant,
    new_node,
    shape_of,
    sole_producer,
    substitute,
)


def decompose_norm(model: ir.Model) -> bool:
    """ReduceL2 becomes the Sqrt of a ReduceSum of squares; Reciprocal becomes 1 / x, of a Sqrt x ^ -0.5.

    Skips: unknown shapes.
    """
    lengths = for_each(model, ("ReduceL2",), _length)
    return for_each(model, ("Reciprocal",), _reciprocal) or lengths


def _length(node: ir.Node) -> bool:
    source, before, after = node.inputs[0], shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if before is None or after is None:
        return False
    square = new_node("Mul", [source, source], of=node, suffix="square", shape=before)
    attributes = {"keepdims": int_attribute(node, "keepdims", 1)}
    total = new_node("ReduceSum", [square.outputs[0], *node.inputs[1:]], attributes, of=node, suffix="sum", shape=after)
    substitute(node, [square, total, new_node("Sqrt", [total.outputs[0]], of=node, shape=after)])
    return True


def _reciprocal(node: ir.Node) -> bool:
    source, shape = node.inputs[0], shape_of(node.outputs[0])
    if source is None or shape is None:
        return False
    root = sole_producer(source, "Sqrt")
    number = new_constant(graph_of(node), f"{node.name}_number", np.array(-0.5 if root else 1, float_dtype(source)))
    operands = [root.inputs[0], number] if root else [number, source]
    substitute(node, [new_node("Pow" if root else "Div", operands, of=node, shape=shape)])
    return True
