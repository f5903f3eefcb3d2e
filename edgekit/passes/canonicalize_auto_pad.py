"""Write the padding of convolutions and pools as numbers."""

import math

import onnx_ir as ir

from edgekit.passes.rewrite import for_each, ints_attribute, shape_of, string_attribute


def canonicalize_auto_pad(model: ir.Model) -> bool:
    """Replace auto_pad by `pads` (top, left, ..., bottom, right, ... in pixels).

    SAME:   total = max(0, (ceil(in / stride) - 1) * stride + (k - 1) * dilation + 1 - in)
            UPPER puts the odd pixel last, LOWER first.
    VALID:  0.

    Skips:  a node whose input size is not known.
    Source: https://onnx.ai/onnx/operators/onnx__Conv.html
    """
    return for_each(model, ("Conv", "MaxPool", "AveragePool", "LpPool"), _resolve)


def _resolve(node: ir.Node) -> bool:
    mode = string_attribute(node, "auto_pad", "")
    if not mode:
        return False
    if mode != "NOTSET":
        pads = _pads(node, mode)
        if pads is None:
            return False
        node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    del node.attributes["auto_pad"]
    return True


def _pads(node: ir.Node, mode: str) -> list[int] | None:
    shape = shape_of(node.inputs[0])
    weight = shape_of(node.inputs[1]) if node.op_type == "Conv" else None
    kernel = ints_attribute(node, "kernel_shape", weight[2:] if weight else ())
    if shape is None or not kernel:
        return None
    ones = [1] * len(kernel)
    if mode == "VALID":
        return [0] * (2 * len(kernel))
    strides, dilations = ints_attribute(node, "strides", ones), ints_attribute(node, "dilations", ones)
    begin, end = [], []
    for size, k, stride, dilation in zip(shape[2:], kernel, strides, dilations, strict=True):
        total = max(0, (math.ceil(size / stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        small, large = total // 2, total - total // 2
        begin.append(small if mode == "SAME_UPPER" else large)
        end.append(large if mode == "SAME_UPPER" else small)
    return begin + end
