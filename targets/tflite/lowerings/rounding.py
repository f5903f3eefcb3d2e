"""Sign, Mod and Erf: TFLite has no such operators, or not in the runtimes that phones have, so they are written out."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.lowerings.elementwise import MAX_BROADCAST_AXES, binary_operands, legal_binary, merged_axes
from edgekit.targets.tflite.rules import lowering

SMALLEST = float(np.finfo(np.float32).tiny)

# Abramowitz and Stegun 1964, 7.1.26: erf to 1.5e-7.
ERF_SLOPE = 0.3275911
ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def sign_of(em: Emitter, source: Tensor, output: Tensor) -> None:
    """x / max(|x|, the smallest normal number): 0 stays 0. SIGN came with runtime 2.12, and XNNPACK refuses it."""
    perm = em.layout(source)
    size, divisor = em.scratch(source), em.scratch(source)
    em.write("ABS", [em.input(source)], size, perm)
    em.write("MAXIMUM", [em.input(size), em.scalar(SMALLEST, source)], divisor, perm)
    em.write("DIV", [em.input(source), em.input(divisor)], output, perm)


@lowering("Sign", ("ABS", "MAXIMUM", "DIV"))
def lower_sign(em: Emitter, node: Node) -> None:
    sign_of(em, node.input(0), node.output)


def legal_mod(node: Node) -> str | None:
    if node.input(0).dtype == "int64":
        whole = len(merged_axes(node.input(0).shape, node.input(1).shape)) <= MAX_BROADCAST_AXES
        return None if whole and not node.attrs.get("fmod", 0) else "this modulus of integers has no rule"
    return legal_binary(node) if node.attrs.get("fmod", 0) else "only fmod has a rule for real numbers"


@lowering(
    "Mod",
    ("ABS", "FLOOR_MOD", "MAXIMUM", "DIV", "MUL"),
    legal=legal_mod,
    delegate=lambda node: "XNNPACK has no FLOOR_MOD",
)
def lower_mod(em: Emitter, node: Node) -> None:
    """C's fmod, which keeps the sign of the dividend: of the sizes, FLOOR_MOD is the same; of integers it is Mod."""
    (dividend, divisor), perm = binary_operands(em, node)
    if node.output.dtype == "int64":
        em.write("FLOOR_MOD", [em.input(dividend, perm), em.input(divisor, perm)], node.output, perm)
        return
    sizes = [em.scratch(tensor) for tensor in (dividend, divisor)]
    for tensor, size in zip((dividend, divisor), sizes, strict=True):
        if tensor.data is not None:
            size.data = np.abs(tensor.data)
        else:
            em.write("ABS", [em.input(tensor, perm)], size, perm)
    rest = em.scratch(node.output)
    em.write("FLOOR_MOD", [em.input(size, perm) for size in sizes], rest, perm)
    sign = em.scratch(dividend)
    if dividend.data is not None:
        sign.data = np.sign(dividend.data)
    else:
        sign_of(em, em.moved(dividend, perm), sign)
    em.write("MUL", [em.input(rest), em.input(sign, perm)], node.output, perm)


@lowering("Erf", ("ABS", "MUL", "ADD", "DIV", "EXP", "SUB", "MAXIMUM"))
def lower_erf(em: Emitter, node: Node) -> None:
    """sign(x) (1 - t (a1 + t (a2 + ...)) e^-x^2) with t = 1 / (1 + p |x|)."""
    source = node.input(0)
    perm = em.layout(source)

    def write(builtin: str, *operands: Tensor | float, output: Tensor | None = None) -> Tensor:
        made = em.scratch(source) if output is None else output
        inputs = [em.scalar(x, source) if isinstance(x, float) else em.input(x) for x in operands]
        em.write(builtin, inputs, made, perm)
        return made

    size = write("ABS", source)
    t = write("DIV", 1.0, write("ADD", write("MUL", size, ERF_SLOPE), 1.0))
    total = write("MUL", t, ERF[0])
    for coefficient in ERF[1:]:
        total = write("MUL", write("ADD", total, coefficient), t)
    falling = write("EXP", write("MUL", write("MUL", source, source), -1.0))
    away = write("SUB", 1.0, write("MUL", total, falling))
    sign = em.scratch(source)
    sign_of(em, source, sign)
    write("MUL", away, sign, output=node.output)
