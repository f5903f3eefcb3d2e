"""LayerNormalization: TFLite has no such operator, so it is written out."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.layout import stored_axis
from edgekit.targets.tflite.lowerings.elementwise import at_rank
from edgekit.targets.tflite.rules import lowering


def legal_layer_normalization(node: Node) -> str | None:
    if any(output.dtype for output in node.outputs[1:]):
        return "the optional outputs Mean and InvStdDev have no rule"
    if any(tensor is not None and tensor.data is None for tensor in node.inputs[1:]):
        return "scale and bias must be constants"
    return None


@lowering("LayerNormalization", ("MEAN", "SUB", "MUL", "ADD", "RSQRT"), legal=legal_layer_normalization)
def lower_layer_normalization(em: Emitter, node: Node) -> None:
    """d = x - mean(x);  y = d * rsqrt(mean(d * d) + epsilon) * scale + bias, in the layout in which x lies.

    Source: Ba et al. 2016, arXiv:1607.06450, equation 4.
    """
    source, shape = node.input(0), node.input(0).shape
    rank, perm = len(shape), em.layout(source)
    first = int(node.attrs.get("axis", -1)) % rank
    reduced = (*shape[:first], *(1 for _ in shape[first:]))
    axes = em.parameter(np.array(sorted(stored_axis(perm, axis) for axis in range(first, rank)), np.int32), "axes")
    mean, variance, shifted, inverse = (em.scratch(source, reduced) for _ in range(4))
    difference, square, normalized = (em.scratch(source) for _ in range(3))

    em.write("MEAN", [em.input(source), axes], mean, perm, {"keepDims": True})
    em.write("SUB", [em.input(source), em.input(mean)], difference, perm)
    em.write("MUL", [em.input(difference), em.input(difference)], square, perm)
    em.write("MEAN", [em.input(square), axes], variance, perm, {"keepDims": True})
    epsilon = em.scalar(float(node.attrs.get("epsilon", 1e-5)), source)
    em.write("ADD", [em.input(variance), epsilon], shifted, perm)
    em.write("RSQRT", [em.input(shifted)], inverse, perm)
    em.write("MUL", [em.input(difference), em.input(inverse)], normalized, perm)

    scale, bias = at_rank(em, node.input(1), rank), node.optional(2)
    scaled = node.output if bias is None else em.scratch(source)
    em.write("MUL", [em.input(normalized), em.input(scale, perm)], scaled, perm)
    if bias is not None:
        em.write("ADD", [em.input(scaled), em.input(at_rank(em, bias, rank), perm)], node.output, perm)
