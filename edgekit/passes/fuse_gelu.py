"""Find GELU in the arithmetic that it was exported as."""

import math

import onnx_ir as ir

from edgekit.passes.patterns import affine_forms, close, product
from edgekit.passes.rewrite import for_each, new_node, scalar, shape_of, sole_producer, substitute


def fuse_gelu(model: ir.Model) -> bool:
    """x / 2 * (1 + erf(x / sqrt(2))), in any order of its products, becomes Gelu(x).

    Skips:  a value between x and the result with another use; the tanh approximation.
    Source: Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2.
    """
    return for_each(model, ("Mul", "Div"), _fuse)


def _fuse(node: ir.Node) -> bool:
    coefficient, factors = product(node)
    if len(factors) != 2 or not close(coefficient, 0.5):
        return False
    for x, gate in (factors, factors[::-1]):
        if _erf_argument_is(gate, x) and shape_of(x) == shape_of(node.outputs[0]):
            substitute(node, [new_node("Gelu", [x], of=node, shape=shape_of(x))])
            return True
    return False


def _erf_argument_is(gate: ir.Value, x: ir.Value) -> bool:
    """Whether gate = 1 + erf(x / sqrt(2))."""
    add = sole_producer(gate, "Add")
    if add is None:
        return False
    for side in (0, 1):
        erf = sole_producer(add.inputs[side], "Erf")
        if erf is None or erf.inputs[0] is None or scalar(add.inputs[1 - side]) != 1.0:
            continue
        return any(
            source is x and close(a, 1 / math.sqrt(2)) and close(b, 0.0) for source, a, b in affine_forms(erf.inputs[0])
        )
    return False
