"""Fold an explicit zero padding into what reads it."""

import operator

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    for_each,
    int_attribute,
    ints_attribute,
    scalar,
    shape_of,
    sole_producer,
    string_attribute,
)


def fold_pad(model: ir.Model) -> bool:
    """Fold a zero Pad into the `pads` of the Conv or AveragePool behind it.

    pads' = pads + the Pad's, per side. An AveragePool then counts the padding, as it did before.

    Shapes: x f32[N,C,H,W].
    Skips:  a Pad that pads batch or channels, crops, or pads with anything but 0; a padded value with another use; an
        AveragePool that has pads of its own that it does not count, that rounds its size up, or whose window would fit
        into the padding, which ONNX Runtime refuses.
    """
    return for_each(model, ("Conv", "AveragePool"), _fold_all)


def _fold_all(node: ir.Node) -> bool:
    changed = False
    while _fold(node):
        changed = True
    return changed


def _fold(node: ir.Node) -> bool:
    pad = sole_producer(node.inputs[0], "Pad")
    extra = spatial_zeros(pad) if pad is not None else None
    if pad is None or extra is None or "auto_pad" in node.attributes:
        return False
    own = list(ints_attribute(node, "pads") or [0] * len(extra))
    pads = [a + b for a, b in zip(own, extra, strict=True)]
    if node.op_type == "AveragePool":
        counts = int_attribute(node, "count_include_pad")
        window = ints_attribute(node, "kernel_shape") * 2
        if int_attribute(node, "ceil_mode") or (any(own) and not counts) or any(map(operator.ge, pads, window)):
            return False
        node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    node.replace_input_with(0, pad.inputs[0])
    pad.graph.remove(pad, safe=True)  # type: ignore[union-attr]  # a producer stands in the graph
    return True


def spatial_zeros(pad: ir.Node) -> list[int] | None:
    """The Pad's amounts without batch and channel, begin and end; None when it is not a plain spatial zero padding."""
    shape, amounts = shape_of(pad.inputs[0]), constant(pad.inputs[1])
    fill = pad.inputs[2] if len(pad.inputs) > 2 else None
    if shape is None or amounts is None or (fill is not None and scalar(fill) != 0):
        return None
    if string_attribute(pad, "mode", "constant") != "constant":
        return None
    full = np.zeros((2, len(shape)), np.int64)
    axes = constant(pad.inputs[3]) if len(pad.inputs) > 3 else np.arange(len(shape))
    if axes is None:
        return None
    full[:, axes % len(shape)] = amounts.reshape(2, -1)
    if full[:, :2].any() or (full < 0).any():
        return None
    return [int(amount) for amount in full[:, 2:].reshape(-1)]
