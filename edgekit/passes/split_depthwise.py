"""Split a depthwise convolution whose window is larger than XNNPACK's kernels."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    Array,
    AttributeValue,
    constant,
    for_each,
    graph_of,
    int_attribute,
    ints_attribute,
    new_constant,
    new_node,
    shape_of,
    substitute,
)

MOST_TAPS = 25
"""XNNPACK computes a larger window as one matrix product per channel."""


def split_depthwise(model: ir.Model) -> bool:
    """A depthwise Conv of more than 25 taps becomes the sum of dilated ones, each with every d-th row of its window.

    Rows i, i + d, i + 2 d, ... of the window make a window of their own with dilation d, which begins i rows later. d
    is the smallest that leaves at most 25 taps: 3 for 7x7.

    Measured (x86-64, one thread, 44 channels of 56x28, CPU ms, XNNPACK): 7x7 in float 2.02, in int8 8.57; split 0.55
    and 0.47. A 5x5 takes 0.16 and 0.14.

    Shapes: x f32[N,C,H,W], weight f32[C,1,kh,kw].
    Skips:  a window of more than 25 columns; fewer than d - 1 rows of padding at either end, where a part would have to
        crop the image.
    """
    return for_each(model, ("Conv",), _split)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of a window: `weight` f32[C,1,rows,kw], and the padding and dilation that put them in their place."""

    weight: Array
    pads: list[int]
    dilations: list[int]


def _split(node: ir.Node) -> bool:
    weight, shape = constant(node.inputs[1]), shape_of(node.outputs[0])
    group = int_attribute(node, "group", 1)
    if weight is None or shape is None or group == 1 or weight.ndim != 4 or weight.shape[:2] != (group, 1):
        return False
    rows, columns = weight.shape[2:]
    step = next((step for step in range(1, rows + 1) if -(-rows // step) * columns <= MOST_TAPS), None)
    if step is None or step == 1:
        return False
    parts = [_every(node, weight, first, step) for first in range(step)]
    if any(min(part.pads) < 0 for part in parts):
        return False
    convolutions = [_convolution(node, part, index, shape) for index, part in enumerate(parts)]
    sums: list[ir.Node] = []
    total = convolutions[0].outputs[0]
    for index, part in enumerate(convolutions[1:], start=1):
        suffix = f"sum{index}" if index < step - 1 else ""
        sums.append(new_node("Add", [total, part.outputs[0]], of=node, suffix=suffix, shape=shape))
        total = sums[-1].outputs[0]
    substitute(node, [*convolutions, *sums])
    return True


def _every(node: ir.Node, weight: Array, first: int, step: int) -> _Part:
    """Rows first, first + step, ... of the window."""
    rows = weight.shape[2]
    below = rows - 1 - range(first, rows, step)[-1]
    top, left, bottom, right = ints_attribute(node, "pads", [0] * 4)
    down, across = ints_attribute(node, "dilations", [1, 1])
    pads = [top - first * down, left, bottom - below * down, right]
    return _Part(weight[:, :, first::step], pads, [down * step, across])


def _convolution(node: ir.Node, part: _Part, index: int, shape: tuple[int, ...]) -> ir.Node:
    """The convolution of one part; the first keeps the bias."""
    graph, name, channels = graph_of(node), node.name, len(part.weight)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if index or bias is None:
        bias = new_constant(graph, f"{name}_bias{index}", np.zeros(channels, part.weight.dtype))
    attributes: dict[str, AttributeValue] = {
        "kernel_shape": list(part.weight.shape[2:]),
        "pads": part.pads,
        "strides": ints_attribute(node, "strides", [1, 1]),
        "dilations": part.dilations,
        "group": channels,
    }
    inputs = [node.inputs[0], new_constant(graph, f"{name}_weight{index}", part.weight), bias]
    return new_node("Conv", inputs, attributes, of=node, suffix=f"rows{index}", shape=shape)
