"""Find hard-swish in the arithmetic that it was exported as."""

import onnx_ir as ir

from edgekit.passes.fuse_hard_sigmoid import clipped_affine
from edgekit.passes.patterns import close, product
from edgekit.passes.rewrite import float_attribute, for_each, new_node, shape_of, sole_producer, substitute


def fuse_hard_swish(model: ir.Model) -> bool:
    """x * HardSigmoid(x), x * relu6(x + 3) / 6 and x * (clip(x + 3, 0, 6) / 6) become HardSwish(x).

    Skips:  a value between x and the result with another use; HardSigmoid with another slope than 1/6.
    Source: Howard et al. 2019, arXiv:1905.02244, section 5.2; ONNX HardSwish has alpha = 1/6 and beta = 1/2 fixed.
    """
    return for_each(model, ("Mul", "Div"), _fuse)


def is_hard_sigmoid(node: ir.Node | None) -> bool:
    """Whether a HardSigmoid has the slope 1/6 and the offset 1/2 (ONNX's default slope is 0.2)."""
    if node is None:
        return False
    alpha, beta = float_attribute(node, "alpha", 0.2), float_attribute(node, "beta", 0.5)
    return close(alpha or 0.0, 1 / 6) and close(beta or 0.0, 0.5)


def _fuse(node: ir.Node) -> bool:
    coefficient, factors = product(node)
    if len(factors) != 2:
        return False
    for x, gate in (factors, factors[::-1]):
        if _gated_by(gate, coefficient) is x and shape_of(x) == shape_of(node.outputs[0]):
            substitute(node, [new_node("HardSwish", [x], of=node, shape=shape_of(x))])
            return True
    return False


def _gated_by(gate: ir.Value, coefficient: float) -> ir.Value | None:
    """x when coefficient * gate is hard_sigmoid(x)."""
    single = sole_producer(gate, "HardSigmoid")
    if single is not None:
        return single.inputs[0] if is_hard_sigmoid(single) and close(coefficient, 1.0) else None
    clip = sole_producer(gate, "Clip")
    return clipped_affine(clip, coefficient) if clip is not None else None
