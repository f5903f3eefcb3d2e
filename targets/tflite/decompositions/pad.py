"""Pads of negative amounts, and with another value than zero."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import constant, for_each, shape_of, string_attribute
from edgekit.targets.tflite.decompositions._steps import Steps

LARGEST = 1e30
"""Beyond it a value stands for none: what a maximum must never take."""


def decompose_pad(model: ir.Model) -> bool:
    """A negative amount is a Slice; a value v is a Pad with zeros, plus v where it padded, axis by axis.

    XNNPACK takes PAD and ADD, but no PADV2. The pad with the lowest number before a pool is left to the pool.
    """
    return for_each(model, ("Pad",), _decompose)


def _decompose(node: ir.Node) -> bool:
    before, after, amounts = shape_of(node.inputs[0]), shape_of(node.outputs[0]), constant(node.inputs[1])
    given = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros(1)
    axes = constant(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] is not None else None
    if before is None or after is None or amounts is None or given is None:
        return False
    if node.inputs[0] is None or node.inputs[0].dtype != ir.DataType.FLOAT:
        return False
    value = float(given.reshape(-1)[0])
    negative = bool((amounts < 0).any())
    constant_mode = string_attribute(node, "mode", "constant") == "constant"
    if not constant_mode or not (negative or (value and np.isfinite(value))) or abs(value) > LARGEST:
        return False
    listed = range(len(before)) if axes is None else [int(axis) % len(before) for axis in axes.reshape(-1)]
    begins, ends = np.zeros(len(before), np.int64), np.zeros(len(before), np.int64)
    for place, axis in enumerate(listed):
        begins[axis], ends[axis] = amounts[place], amounts[place + len(listed)]
    steps, source = Steps(node), node.inputs[0]
    for axis, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        if begin < 0 or end < 0:
            source = steps.cut(source, axis, max(-begin, 0), before[axis] - max(-end, 0))
        begin, end = max(begin, 0), max(end, 0)
        if not begin and not end:
            continue
        pads = np.zeros(2 * len(before), np.int64)
        pads[axis], pads[axis + len(before)] = begin, end
        source = steps.op("Pad", source, steps.constant(pads, "int64"))
        if value:
            line = np.zeros(after[axis])
            line[:begin], line[after[axis] - end :] = value, value
            source = steps.op("Add", source, steps.constant(line.reshape(-1, *[1] * (len(before) - axis - 1))))
    return steps.replace(source)
