"""Activations made of exponentials and logarithms, which TFLite has no operators for: written out, in float.

Between integers they stay in float: one rounding per value, where each of their pieces would take one.
"""

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.rules import lowering

SATURATED = 20.0
"""Where mish(x) is x in float32: e^-20 is less than half its precision, and e^40 far from the largest number."""

SELU = {"alpha": 1.6732631921768188, "gamma": 1.0507010221481323}
"""ONNX's defaults."""


@lowering("Elu", ("ELU", "RELU", "MUL", "ADD"))
def lower_elu(em: Emitter, node: Node) -> None:
    """Clevert et al. 2015, arXiv:1511.07289."""
    _scaled_elu(em, node, float(node.attrs.get("alpha", 1.0)), 1.0)


@lowering("Selu", ("ELU", "RELU", "MUL", "ADD"))
def lower_selu(em: Emitter, node: Node) -> None:
    """Klambauer et al. 2017, arXiv:1706.02515; the two numbers are ONNX's defaults."""
    alpha, gamma = (
        float(node.attrs.get("alpha", 1.6732631921768188)),
        float(node.attrs.get("gamma", 1.0507010221481323)),
    )
    _scaled_elu(em, node, alpha, gamma)


def _scaled_elu(em: Emitter, node: Node, alpha: float, gamma: float) -> None:
    """gamma (alpha ELU(x) + (1 - alpha) RELU(x)): ELU is x above zero, where the two factors add up to gamma."""
    source = node.input(0)
    perm = em.layout(source)
    if alpha == gamma == 1.0:
        em.write("ELU", [em.input(source)], node.output, perm)
        return
    curve, line, scaled_curve, scaled_line = (em.scratch(node.output) for _ in range(4))
    em.write("ELU", [em.input(source)], curve, perm)
    em.write("RELU", [em.input(source)], line, perm)
    em.write("MUL", [em.input(curve), em.scalar(gamma * alpha, source)], scaled_curve, perm)
    em.write("MUL", [em.input(line), em.scalar(gamma * (1 - alpha), source)], scaled_line, perm)
    em.write("ADD", [em.input(scaled_curve), em.input(scaled_line)], node.output, perm)


def legal_celu(node: Node) -> str | None:
    return None if node.attrs.get("alpha", 1.0) > 0 else "alpha must be positive"


@lowering("Celu", ("ELU", "MUL"), legal=legal_celu)
def lower_celu(em: Emitter, node: Node) -> None:
    """alpha ELU(x / alpha); Barron 2017, arXiv:1704.07483."""
    source, alpha = node.input(0), float(node.attrs.get("alpha", 1.0))
    perm = em.layout(source)
    narrowed, curve = em.scratch(node.output), em.scratch(node.output)
    em.write("MUL", [em.input(source), em.scalar(1 / alpha, source)], narrowed, perm)
    em.write("ELU", [em.input(narrowed)], curve, perm)
    em.write("MUL", [em.input(curve), em.scalar(alpha, source)], node.output, perm)


@lowering("Softplus", ("ABS", "MUL", "EXP", "ADD", "LOG", "RELU"))
def lower_softplus(em: Emitter, node: Node) -> None:
    """log(1 + e^x) as max(x, 0) + log(1 + e^-|x|), which overflows nowhere."""
    source = node.input(0)
    perm = em.layout(source)
    size, falling, small, above_one, bend, line = (em.scratch(node.output) for _ in range(6))
    em.write("ABS", [em.input(source)], size, perm)
    em.write("MUL", [em.input(size), em.scalar(-1.0, source)], falling, perm)
    em.write("EXP", [em.input(falling)], small, perm)
    em.write("ADD", [em.input(small), em.scalar(1.0, source)], above_one, perm)
    em.write("LOG", [em.input(above_one)], bend, perm)
    em.write("RELU", [em.input(source)], line, perm)
    em.write("ADD", [em.input(line), em.input(bend)], node.output, perm)


@lowering("Mish", ("MINIMUM", "EXP", "ADD", "MUL", "DIV"))
def lower_mish(em: Emitter, node: Node) -> None:
    """x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2): one exponential; Misra 2019, arXiv:1908.08681."""
    source = node.input(0)
    perm = em.layout(source)

    def plus_two(tensor: Tensor) -> Tensor:
        total = em.scratch(node.output)
        em.write("ADD", [em.input(tensor), em.scalar(2.0, source)], total, perm)
        return total

    bounded, power, n, gate = (em.scratch(node.output) for _ in range(4))
    em.write("MINIMUM", [em.input(source), em.scalar(SATURATED, source)], bounded, perm)
    em.write("EXP", [em.input(bounded)], power, perm)
    em.write("MUL", [em.input(power), em.input(plus_two(power))], n, perm)
    em.write("DIV", [em.input(n), em.input(plus_two(n))], gate, perm)
    em.write("MUL", [em.input(source), em.input(gate)], node.output, perm)
