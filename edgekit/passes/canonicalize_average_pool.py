"""Averages over windows that hang over the edge count pixels of the input alone."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    for_each,
    graph_of,
    int_attribute,
    ints_attribute,
    new_constant,
    new_node,
    shape_of,
)


def canonicalize_average_pool(model: ir.Model) -> bool:
    """An AveragePool whose last windows hang over the edge (`ceil_mode`) and that counts padding no longer counts it.

    What lies beyond the padding is counted in no form, so without padding both are the same; padding becomes a Pad in
    front. ONNX Runtime's integer kernel counts it where padding counts: 20 dB are left of 36.

    Shapes: x f32[N,C,H,W].
    Skips:  unknown shapes; windows that end within the padding; auto_pad.
    """
    return for_each(model, ("AveragePool",), _count_pixels)


def _count_pixels(node: ir.Node) -> bool:
    if not int_attribute(node, "count_include_pad") or not _hangs_over(node):
        return False
    axes = len(ints_attribute(node, "kernel_shape"))
    pads = ints_attribute(node, "pads", [0] * 2 * axes)
    if any(pads):
        node.replace_input_with(0, _padded(node, pads))
    for name in ("pads", "count_include_pad"):
        node.attributes.pop(name, None)
    return True


def _hangs_over(node: ir.Node) -> bool:
    before, after = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if before is None or after is None or "auto_pad" in node.attributes or not int_attribute(node, "ceil_mode"):
        return False
    kernel = ints_attribute(node, "kernel_shape")
    strides = ints_attribute(node, "strides", [1] * len(kernel))
    pads = ints_attribute(node, "pads", [0] * 2 * len(kernel))
    room = [size + low + high for size, low, high in zip(before[2:], pads, pads[len(kernel) :], strict=False)]
    reach = [(count - 1) * stride + k for count, stride, k in zip(after[2:], strides, kernel, strict=True)]
    return any(last > inside for last, inside in zip(reach, room, strict=True))


def _padded(node: ir.Node, pads: list[int]) -> ir.Value:
    source, axes = node.inputs[0], len(pads) // 2
    shape = shape_of(source)
    assert shape is not None
    low, high = pads[:axes], pads[axes:]
    amounts = new_constant(graph_of(node), f"{node.name}_pads", np.array([0, 0, *low, 0, 0, *high], np.int64))
    padded = (*shape[:2], *(size + a + b for size, a, b in zip(shape[2:], low, high, strict=True)))
    pad = new_node("Pad", [source, amounts], of=node, suffix="pad", shape=padded)
    graph_of(node).insert_before(node, pad)
    return pad.outputs[0]
