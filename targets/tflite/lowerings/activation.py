"""Activations that stand alone (a Relu or Clip behind a linear operator is fused before it gets here)."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.fuse import clamp_of
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.layout import identity
from edgekit.targets.tflite.rules import INT8, INTEGERS, lowering


@lowering("Relu", ("RELU",), integer=INTEGERS)
def lower_relu(em: Emitter, node: Node) -> None:
    em.clamp(node.input(0), node.output, (0.0, np.inf))


def legal_clip(node: Node) -> str | None:
    return None if clamp_of(node) is not None else "the bounds must be constants"


@lowering("Clip", ("RELU", "RELU6", "RELU_N1_TO_1", "MAXIMUM", "MINIMUM"), integer=INTEGERS, legal=legal_clip)
def lower_clip(em: Emitter, node: Node) -> None:
    clamp = clamp_of(node)
    assert clamp is not None
    em.clamp(node.input(0), node.output, clamp)


def delegate_hard_swish(node: Node) -> str | None:
    return "XNNPACK has no int8 HARD_SWISH" if node.is_integer else None


@lowering("HardSwish", ("HARD_SWISH",), integer=INT8, delegate=delegate_hard_swish)
def lower_hard_swish(em: Emitter, node: Node) -> None:
    """The builtin, which XNNPACK takes in float; edgekit's own int8 graphs hold ADD + MUL (decompose_hard_swish)."""
    source = node.input(0)
    em.write("HARD_SWISH", [em.input(source)], node.output, em.layout(source))


def legal_hard_sigmoid(node: Node) -> str | None:
    slope, offset = float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5))
    return None if slope > 0 and np.isfinite(offset) else "alpha must be positive"


@lowering("HardSigmoid", ("ADD", "MUL", "MAXIMUM", "MINIMUM"), legal=legal_hard_sigmoid)
def lower_hard_sigmoid(em: Emitter, node: Node) -> None:
    """clip(alpha x + beta, 0, 1): with alpha 1/6 and beta 1/2 it is RELU6(x + 3) / 6, whose clamp is fused."""
    source = node.input(0)
    slope, offset = float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5))
    perm = em.layout(source)
    shifted = em.scratch(node.output)
    if np.isclose(slope, 1 / 6, rtol=1e-6) and offset == 0.5:
        em.write("ADD", [em.input(source), em.scalar(3.0, source)], shifted, perm, clamp=(0.0, 6.0))
        em.write("MUL", [em.input(shifted), em.scalar(1 / 6, source)], node.output, perm)
        return
    scaled = em.scratch(node.output)
    em.write("MUL", [em.input(source), em.scalar(slope, source)], scaled, perm)
    em.write("ADD", [em.input(scaled), em.scalar(offset, source)], node.output, perm, clamp=(0.0, 1.0))


@lowering("Gelu", ("GELU",))
def lower_gelu(em: Emitter, node: Node) -> None:
    """In float even between integers: XNNPACK takes GELU in float only, TFLite's int8 kernel would cut the graph."""
    source = node.input(0)
    approximate = node.attrs.get("approximate", "none") == "tanh"
    em.write("GELU", [em.input(source)], node.output, em.layout(source), {"approximate": approximate})


# XNNPACK's bounds on slope * input scale / output scale of the int8 LEAKY_RELU (xnnpack_delegate.cc).
LEAKY_SCALES = (2.0**-8, 2.0**7)


def _is_leaky(node: Node) -> bool:
    """Whether XNNPACK takes an int8 LEAKY_RELU of this slope."""
    source, result = node.input(0).quant, node.output.quant
    if source is None or result is None or node.output.dtype != "int8":
        return True
    slope = float(node.attrs.get("alpha", 0.01)) * float(source.scale[0] / result.scale[0])
    return LEAKY_SCALES[0] <= abs(slope) < LEAKY_SCALES[1]


@lowering("LeakyRelu", ("LEAKY_RELU", "RELU"), integer=INTEGERS)
def lower_leaky_relu(em: Emitter, node: Node) -> None:
    """In int8, a slope below XNNPACK's bounds leaves less than one step of the lowest input: it is RELU."""
    source, slope = node.input(0), float(node.attrs.get("alpha", 0.01))
    if _is_leaky(node) or abs(slope) > 1:
        em.write("LEAKY_RELU", [em.input(source)], node.output, em.layout(source), {"alpha": slope})
        return
    em.write("RELU", [em.input(source)], node.output, em.layout(source))


@lowering("Softmax", ("SOFTMAX",), integer=INTEGERS)
def lower_softmax(em: Emitter, node: Node) -> None:
    _over_last_axis(em, node, "SOFTMAX", {"beta": 1.0})


@lowering("LogSoftmax", ("LOG_SOFTMAX",), delegate=lambda node: "XNNPACK has no LOG_SOFTMAX")
def lower_log_softmax(em: Emitter, node: Node) -> None:
    """In float even between integers: the builtin's own scale, 1/16, ends at -16."""
    _over_last_axis(em, node, "LOG_SOFTMAX", {})


def _over_last_axis(em: Emitter, node: Node, builtin: str, options: dict[str, float]) -> None:
    """TFLite normalises over the axis that is stored last."""
    source = node.input(0)
    rank = len(source.shape)
    axis, perm = int(node.attrs.get("axis", -1)) % rank, em.layout(source)
    if perm[-1] != axis:
        perm = (*(i for i in identity(rank) if i != axis), axis)
    em.write(builtin, [em.input(source, perm)], node.output, perm, options)
