"""Write hard-sigmoid in operators that integer kernels run fast."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    float_attribute,
    float_dtype,
    for_each,
    graph_of,
    new_constant,
    new_node,
    shape_of,
    substitute,
)


def decompose_hard_sigmoid(model: ir.Model) -> bool:
    """HardSigmoid becomes Mul, Add and Clip.

    y = clip(x * alpha + beta, 0, 1)

    Behind a Conv or Gemm that nothing else reads, fold_affine puts alpha and beta into its weights and bias, and only
    the Clip is left: in integers, the saturation of that operator's output.

    Skips:  nothing.
    Source: https://onnx.ai/onnx/operators/onnx__HardSigmoid.html
    """
    return for_each(model, ("HardSigmoid",), _decompose)


def _decompose(node: ir.Node) -> bool:
    source, shape = node.inputs[0], shape_of(node.inputs[0])
    if source is None or shape is None:
        return False
    graph, name = graph_of(node), node.outputs[0].name
    dtype = float_dtype(source)
    alpha, beta = float_attribute(node, "alpha", 0.2), float_attribute(node, "beta", 0.5)

    def number(label: str, value: float | None) -> ir.Value:
        return new_constant(graph, f"{name}_{label}", np.array(value, dtype))

    scaled = new_node("Mul", [source, number("scale", alpha)], of=node, suffix="scaled", shape=shape)
    shifted = new_node("Add", [scaled.outputs[0], number("shift", beta)], of=node, suffix="shifted", shape=shape)
    bounds = [number("low", 0.0), number("high", 1.0)]
    substitute(node, [scaled, shifted, new_node("Clip", [shifted.outputs[0], *bounds], of=node, shape=shape)])
    return True
