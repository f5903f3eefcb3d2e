"""Write hard-swish in operators that integer kernels run fast."""

import math

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import float_dtype, for_each, graph_of, new_constant, new_node, shape_of, substitute

ROOT_6 = math.sqrt(6.0)


def decompose_hard_swish(model: ir.Model) -> bool:
    """HardSwish becomes Mul, Add, Clip and Mul, with the factor 1/6 spread evenly.

    t = x / sqrt(6)          r = clip(t + 3 / sqrt(6), 0, sqrt(6))          y = t * r

    t * r = x / sqrt(6) * clip(x + 3, 0, 6) / sqrt(6) = x * clip(x + 3, 0, 6) / 6, exactly hard_swish(x). Behind a Conv
    or Gemm that nothing else reads, fold_affine puts the 1 / sqrt(6) into its weights, so no factor is left over. In
    integers the Clip is the saturation of the Add's output.

    Skips:  nothing.
    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2.
    """
    return for_each(model, ("HardSwish",), _decompose)


def _decompose(node: ir.Node) -> bool:
    source, shape = node.inputs[0], shape_of(node.inputs[0])
    if source is None or shape is None:
        return False
    graph, name = graph_of(node), node.outputs[0].name
    dtype = float_dtype(source)

    def number(label: str, value: float) -> ir.Value:
        return new_constant(graph, f"{name}_{label}", np.array(value, dtype))

    scaled = new_node("Mul", [source, number("scale", 1 / ROOT_6)], of=node, suffix="scaled", shape=shape)
    t = scaled.outputs[0]
    shifted = new_node("Add", [t, number("shift", 3 / ROOT_6)], of=node, suffix="shifted", shape=shape)
    bounds = [number("low", 0.0), number("high", ROOT_6)]
    gate = new_node("Clip", [shifted.outputs[0], *bounds], of=node, suffix="gate", shape=shape)
    substitute(node, [scaled, shifted, gate, new_node("Mul", [t, gate.outputs[0]], of=node, shape=shape)])
    return True
