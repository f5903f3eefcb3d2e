"""Give signals a height of one pixel."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    for_each,
    graph_of,
    ints_attribute,
    new_constant,
    new_node,
    shape_of,
    substitute,
)


def widen_windows(model: ir.Model) -> bool:
    """A Conv, MaxPool or AveragePool over f32[N,C,L] becomes one over f32[N,C,1,L] between two Reshapes.

    TFLite has kernels for images only. Channel attention by a 1-D convolution (ECA-Net, arXiv:1910.03151) is one.

    Skips: unknown shapes; weights that are computed; auto_pad; a MaxPool whose indices are read.
    """
    return for_each(model, ("Conv", "MaxPool", "AveragePool"), _widen)


def _widen(node: ir.Node) -> bool:
    source, before, after = node.inputs[0], shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if before is None or after is None or len(before) != 3 or "auto_pad" in node.attributes or len(node.outputs) > 1:
        return False
    operands = list(node.inputs[1:])
    if operands:
        weight = constant(operands[0])
        if weight is None or operands[0] is None:
            return False
        operands[0] = new_constant(graph_of(node), f"{operands[0].name}_wide", weight[:, :, np.newaxis])
    wide, result = (*before[:2], 1, before[2]), (*after[:2], 1, after[2])
    opened = _reshape(node, source, "opened", wide)
    window = new_node(node.op_type, [opened.outputs[0], *operands], of=node, suffix="wide", shape=result)
    window.attributes.update({name: attribute for name, attribute in node.attributes.items() if name not in SPATIAL})
    for name, first in SPATIAL.items():
        if values := ints_attribute(node, name):
            window.attributes[name] = ir.AttrInt64s(name, [number for each in values for number in (first, each)])
    substitute(node, [opened, window, _reshape(node, window.outputs[0], "", after)])
    return True


SPATIAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "pads": 0}
"""Attributes with a number per axis (pads: all begins, then all ends), and that of a height of one pixel."""


def _reshape(node: ir.Node, value: ir.Value | None, suffix: str, shape: tuple[int, ...]) -> ir.Node:
    target = new_constant(graph_of(node), f"{node.name}_{suffix or 'closed'}_shape", np.array(shape, np.int64))
    return new_node("Reshape", [value, target], of=node, suffix=suffix, shape=shape)
