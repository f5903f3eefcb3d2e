"""Write slopes per channel in operators that integer kernels have."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import float_dtype, for_each, graph_of, new_constant, new_node, shape_of, substitute


def decompose_prelu(model: ir.Model) -> bool:
    """PRelu becomes Relu, Clip, Mul and Add: relu(x) + slope * min(x, 0). Only TFLite's builtin takes it in integers.

    Skips: nothing.
    Source: He et al. 2015, arXiv:1502.01852.
    """
    return for_each(model, ("PRelu",), _decompose)


def _decompose(node: ir.Node) -> bool:
    source, slope = node.inputs
    shape = shape_of(source)
    if source is None or shape is None:
        return False
    zero = new_constant(graph_of(node), f"{node.name}_zero", np.array(0, float_dtype(source)))
    positive = new_node("Relu", [source], of=node, suffix="positive", shape=shape)
    negative = new_node("Clip", [source, None, zero], of=node, suffix="negative", shape=shape)
    sloped = new_node("Mul", [negative.outputs[0], slope], of=node, suffix="sloped", shape=shape)
    total = new_node("Add", [positive.outputs[0], sloped.outputs[0]], of=node, shape=shape)
    substitute(node, [positive, negative, sloped, total])
    return True
