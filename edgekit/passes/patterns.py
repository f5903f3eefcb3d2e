"""Reading arithmetic: products and scalar affine forms behind a value. Used by the passes that fuse activations."""

import math
from collections.abc import Iterator

import onnx_ir as ir

from edgekit.passes.rewrite import has_one_use, produced_by, scalar

# Constants of float32 files: sqrt(2) and 1/6 are written with 6 to 9 digits.
RELATIVE = 1e-5


def close(a: float, b: float) -> bool:
    """Whether two constants are the same number as far as files write it."""
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-7)


def product(node: ir.Node) -> tuple[float, list[ir.Value]]:
    """Read Mul and Div by numbers as one product: (coefficient, factors). Inner products have no other use."""
    coefficient, factors = 1.0, []
    for value, divides in zip(node.inputs, (False, node.op_type == "Div"), strict=False):
        number = scalar(value)
        if value is None:
            continue
        if number is not None and not (divides and number == 0):
            coefficient = coefficient / number if divides else coefficient * number
            continue
        inner = produced_by(value, "Mul", "Div") if has_one_use(value) and not divides else None
        if divides:
            return 1.0, [node.outputs[0]]
        if inner is None:
            factors.append(value)
            continue
        inner_coefficient, inner_factors = product(inner)
        coefficient *= inner_coefficient
        factors += inner_factors
    return coefficient, factors


def affine_forms(value: ir.Value) -> Iterator[tuple[ir.Value, float, float]]:
    """Read `value` as x * a + b with numbers a and b: (x, a, b) for x = value, then for each x further up.

    Values between x and `value` have no other use.
    """
    a, b = 1.0, 0.0
    while True:
        yield value, a, b
        node = produced_by(value, "Mul", "Div", "Add", "Sub") if has_one_use(value) else None
        step = _scalar_step(node) if node is not None else None
        if step is None:
            return
        value, scale, offset = step
        a, b = a * scale, b + a * offset


def _scalar_step(node: ir.Node) -> tuple[ir.Value, float, float] | None:
    left, right = node.inputs[0], node.inputs[1]
    number, source, on_right = scalar(right), left, True
    if number is None:
        number, source, on_right = scalar(left), right, False
    if number is None or source is None:
        return None
    match node.op_type:
        case "Mul":
            return source, number, 0.0
        case "Add":
            return source, 1.0, number
        case "Sub":
            return (source, 1.0, -number) if on_right else (source, -1.0, number)
        case "Div" if on_right and number != 0:
            return source, 1 / number, 0.0
    return None
