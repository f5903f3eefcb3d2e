"""Normalizations of one image by its own mean and variance: TFLite has no such operators, so they are written out.

Ba et al. 2016, arXiv:1607.06450, equation 4; Ulyanov et al. 2016, arXiv:1607.08022; Wu and He 2018, arXiv:1803.08494.
"""

from collections.abc import Iterable

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import channels_last, identity, stored_axis
from edgekit.targets.tflite.lowerings.elementwise import at_rank
from edgekit.targets.tflite.rules import lowering

WRITTEN = ("MEAN", "SUB", "MUL", "ADD", "RSQRT")


def legal_layer_normalization(node: Node) -> str | None:
    if any(output.dtype for output in node.outputs[1:]):
        return "the optional outputs Mean and InvStdDev have no rule"
    return legal_normalization(node)


def legal_normalization(node: Node) -> str | None:
    if any(tensor is not None and tensor.data is None for tensor in node.inputs[1:]):
        return "scale and bias must be constants"
    return None


@lowering("LayerNormalization", WRITTEN, legal=legal_layer_normalization)
def lower_layer_normalization(em: Emitter, node: Node) -> None:
    """Over the last axes; scale and bias for each of their elements."""
    source = node.input(0)
    rank = len(source.shape)
    first = int(node.attrs.get("axis", -1)) % rank
    normalized = _normalized(em, node, source, range(first, rank))
    _scale(em, node, normalized, at_rank(em, node.input(1), rank), _at_rank(em, node.optional(2), rank))


@lowering("InstanceNormalization", WRITTEN, legal=legal_normalization)
def lower_instance_normalization(em: Emitter, node: Node) -> None:
    """Over the pixels of each channel; scale and bias per channel."""
    source = node.input(0)
    normalized = _normalized(em, node, source, range(2, len(source.shape)))
    _scale(em, node, normalized, *(_per_channel(em, node, index) for index in (1, 2)))


@lowering("GroupNormalization", WRITTEN, legal=legal_normalization)
def lower_group_normalization(em: Emitter, node: Node) -> None:
    """Over the pixels and channels of each group: stored channels-last, a group is an axis of its own without moving.

    [1, ..., C] is read as [1, pixels, G, C / G], and normalized over its second and fourth axis.
    """
    shape, groups = node.input(0).shape, int(node.attrs["num_groups"])
    layout = channels_last(len(shape))
    source = em.moved(node.input(0), layout)
    grouped = em.scratch(source, (shape[0], int(np.prod(shape[2:])), groups, shape[1] // groups))
    em.reshape(source, grouped, identity(4))
    normalized = em.scratch(node.output)
    em.reshape(_normalized(em, node, grouped, (1, 3)), normalized, layout)
    _scale(em, node, normalized, *(_per_channel(em, node, index) for index in (1, 2)))


def _normalized(em: Emitter, node: Node, source: Tensor, over: Iterable[int]) -> Tensor:
    """d * rsqrt(mean(d * d) + epsilon) with d = x - mean(x), over ONNX axes, in the layout in which x lies."""
    perm, over = em.layout(source), set(over)
    reduced = tuple(1 if axis in over else size for axis, size in enumerate(source.shape))
    axes = em.parameter(np.array(sorted(stored_axis(perm, axis) for axis in over), np.int32), "axes")
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
    return normalized


def _scale(em: Emitter, node: Node, normalized: Tensor, scale: Tensor, bias: Tensor | None) -> None:
    perm = em.layout(normalized)
    scaled = node.output if bias is None else em.scratch(node.output)
    em.write("MUL", [em.input(normalized), em.input(scale, perm)], scaled, perm)
    if bias is not None:
        em.write("ADD", [em.input(scaled), em.input(bias, perm)], node.output, perm)


def _at_rank(em: Emitter, tensor: Tensor | None, rank: int) -> Tensor | None:
    return None if tensor is None else at_rank(em, tensor, rank)


def _per_channel(em: Emitter, node: Node, index: int) -> Tensor:
    """f32[C] as [1, C, 1, ...], beside the output."""
    values = node.input(index).numbers()
    tensor = em.scratch(node.output, (1, values.size, *(1 for _ in node.output.shape[2:])))
    tensor.data = values.astype(np.float32).reshape(tensor.shape)
    return tensor
