"""One way to write a leaky slope."""

import onnx_ir as ir

from edgekit.passes.rewrite import constant, for_each, new_node, shape_of, substitute


def canonicalize_prelu(model: ir.Model) -> bool:
    """PRelu with the same slope everywhere becomes LeakyRelu, which integer kernels take too.

    Skips: slopes that differ, or are computed.
    """
    return for_each(model, ("PRelu",), _canonicalize)


def _canonicalize(node: ir.Node) -> bool:
    slopes, shape = constant(node.inputs[1]), shape_of(node.outputs[0])
    if slopes is None or not slopes.size or (slopes != slopes.flat[0]).any():
        return False
    slope = {"alpha": float(slopes.flat[0])}
    substitute(node, [new_node("LeakyRelu", node.inputs[:1], slope, of=node, shape=shape)])
    return True
