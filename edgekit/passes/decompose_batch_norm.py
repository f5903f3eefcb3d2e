"""Write a BatchNormalization that cannot fold as arithmetic."""

import onnx_ir as ir

from edgekit.passes.fold_batch_norm import batch_norm_affine
from edgekit.passes.rewrite import float_dtype, for_each, graph_of, new_constant, new_node, shape_of, substitute


def decompose_batch_norm(model: ir.Model) -> bool:
    """BatchNormalization becomes Mul and Add by per-channel constants.

    y = x * s + o          s = g / sqrt(v + eps)          o = beta - m * s

    Pre-activation networks (DenseNet, DPN, CondenseNet) normalise a concatenation: no linear operator stands before it.

    Shapes: x f32[N,C,...]; s, o f32[C,1,...].
    Skips:  statistics that are computed at run time.
    """
    return for_each(model, ("BatchNormalization",), _decompose)


def _decompose(node: ir.Node) -> bool:
    affine, shape, source = batch_norm_affine(node), shape_of(node.inputs[0]), node.inputs[0]
    if affine is None or shape is None or source is None:
        return False
    graph, name = graph_of(node), node.outputs[0].name
    per_channel = (-1, *[1] * (len(shape) - 2))
    dtype = float_dtype(source)
    scale, offset = (array.astype(dtype).reshape(per_channel) for array in affine)
    scaled = new_node(
        "Mul", [source, new_constant(graph, f"{name}_scale", scale)], of=node, suffix="scaled", shape=shape
    )
    offset_value = new_constant(graph, f"{name}_offset", offset)
    substitute(node, [scaled, new_node("Add", [scaled.outputs[0], offset_value], of=node, shape=shape)])
    return True
