"""Convolutions over depth, and with weights that are computed."""

from math import prod

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import constant, for_each, int_attribute, ints_attribute, produced_by, shape_of
from edgekit.targets.tflite.decompositions._steps import Steps


def decompose_conv(model: ir.Model) -> bool:
    """Conv over [N, C, D, H, W], and Conv whose weights are not constant, as 2-D Convs and products of matrices.

    Depth: a row of the result reads a few rows of the input, which count as channels of a 2-D Conv.
    Computed weights: what each window reads, picked by filters with a single 1, times the weights as a matrix. A
    correlation of one map with a part of another (SiamFC) is such a Conv.

    Skips: shapes that are not static; auto_pad.
    """
    return for_each(model, ("Conv",), _decompose)


def _decompose(node: ir.Node) -> bool:
    before, weights, after = (shape_of(value) for value in (node.inputs[0], node.inputs[1], node.outputs[0]))
    if before is None or weights is None or after is None or "auto_pad" in node.attributes:
        return False
    if _is_computed(node.inputs[1]) and len(weights) == 4:
        return _with_computed_weights(node, before, weights, after)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if len(weights) == 5 and constant(node.inputs[1]) is not None and (bias is None or constant(bias) is not None):
        return _over_depth(node, before, after)
    return False


def _is_computed(weights: ir.Value | None) -> bool:
    """Whether weights depend on the image; stored integers that are made real numbers do not."""
    stored = produced_by(weights, "DequantizeLinear")
    return constant(stored.inputs[0] if stored is not None else weights) is None


def _over_depth(node: ir.Node, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    steps, weights = Steps(node), constant(node.inputs[1])
    source, bias = node.inputs[0], node.inputs[2] if len(node.inputs) > 2 else None
    assert weights is not None
    assert source is not None
    stride, *strides = ints_attribute(node, "strides", [1] * 3)
    dilation, *dilations = ints_attribute(node, "dilations", [1] * 3)
    pads = ints_attribute(node, "pads", [0] * 6)
    window = {"strides": strides, "dilations": dilations, "pads": [*pads[1:3], *pads[4:6]]}
    rows = []
    for row in range(after[2]):
        places = row * stride - pads[0] + np.arange(weights.shape[2]) * dilation
        inside = np.flatnonzero((places >= 0) & (places < before[2]))
        if not inside.size:
            inside, places = np.array([0]), np.zeros(weights.shape[2], np.int64)  # padding alone: the bias is left
            taken = np.zeros_like(weights[:, :, :1])
        else:
            taken = weights[:, :, inside]
        slab = steps.cut(source, 2, int(places[inside[0]]), int(places[inside[-1]]) + 1, dilation)
        flat = steps.reshape(slab, before[0], before[1] * len(inside), *before[3:])
        kernel = steps.constant(taken.reshape(weights.shape[0], -1, *weights.shape[3:]))
        operands = [flat, kernel, *([bias] if bias is not None else [])]
        made = steps.op("Conv", *operands, **window, group=int_attribute(node, "group", 1))
        rows.append(steps.reshape(made, *after[:2], 1, *after[3:]))
    return steps.replace(steps.op("Concat", *rows, axis=2) if len(rows) > 1 else rows[0])


def _with_computed_weights(
    node: ir.Node, before: tuple[int, ...], weights: tuple[int, ...], after: tuple[int, ...]
) -> bool:
    steps, groups = Steps(node), int_attribute(node, "group", 1)
    source, kernel = node.inputs[:2]
    assert kernel is not None
    taps, channels = prod(weights[2:]), before[1]
    filters = np.tile(np.eye(taps).reshape(taps, 1, *weights[2:]), (channels, 1, 1, 1))
    window = {
        name: node.attributes[name].as_ints() for name in ("strides", "dilations", "pads") if name in node.attributes
    }
    picked = steps.op("Conv", source, steps.constant(filters), **window, group=channels)
    columns = steps.reshape(picked, before[0], groups, channels // groups * taps, prod(after[2:]))
    matrix = steps.reshape(kernel, 1, groups, weights[0] // groups, prod(weights[1:]))
    made = steps.reshape(steps.op("MatMul", matrix, columns), *after)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        made = steps.op("Add", made, steps.reshape(node.inputs[2], 1, -1, 1, 1))
    return steps.replace(made)
