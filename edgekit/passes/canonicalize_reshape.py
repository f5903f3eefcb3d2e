"""One way to change a shape without moving data."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    for_each,
    graph_of,
    new_constant,
    new_node,
    produced_by,
    shape_of,
    substitute,
)


def canonicalize_reshape(model: ir.Model) -> bool:
    """Flatten, Squeeze, Unsqueeze and Reshape become Reshape to a constant, positive shape; chains become one.

    Skips: an output shape that is not static or holds no element; removing a Reshape that changes nothing is left to
        eliminate_identity.
    """
    return for_each(model, ("Flatten", "Squeeze", "Unsqueeze", "Reshape"), _canonicalize)


def _canonicalize(node: ir.Node) -> bool:
    shape = shape_of(node.outputs[0])
    source = node.inputs[0]
    if shape is None or source is None or 0 in shape:
        return False
    before = produced_by(source, "Reshape")
    if node.op_type == "Reshape":
        target = constant(node.inputs[1])
        exact = target is not None and target.tolist() == list(shape) and "allowzero" not in node.attributes
        if exact and before is None:
            return False
    source = before.inputs[0] if before is not None else source
    target_shape = new_constant(graph_of(node), f"{node.outputs[0].name}_shape", np.array(shape, np.int64))
    substitute(node, [new_node("Reshape", [source, target_shape], of=node, shape=shape)])
    return True
