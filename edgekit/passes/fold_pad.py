"""Fold an explicit padding into what reads it, where that pads with the same value."""

import operator

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    for_each,
    int_attribute,
    ints_attribute,
    produced_by,
    remove_unused,
    scalar,
    shape_of,
    sole_producer,
    string_attribute,
)

LOWEST = float(np.finfo(np.float32).min)
"""A MaxPool pads with minus infinity; this is as good, since no number is less."""


def fold_pad(model: ir.Model) -> bool:
    """Fold a Pad into the `pads` of the operator behind it: zeros of a Conv or AveragePool, the lowest of a MaxPool.

    pads' = pads + the Pad's, per side. An AveragePool then counts the padding, as it did before.

    Shapes: x f32[N,C,H,W].
    Skips:  a Pad that pads batch or channels, crops, or pads with another value; a value padded with zeros that has
        another use; an AveragePool that has pads of its own that it does not count; a pool that rounds its size up, or
        whose window would fit into the padding, which ONNX Runtime refuses; a MaxPool that gives indices.
    """
    return for_each(model, ("Conv", "AveragePool", "MaxPool"), _fold_all)


def _fold_all(node: ir.Node) -> bool:
    changed = False
    while _fold(node):
        changed = True
    return changed


def _fold(node: ir.Node) -> bool:
    is_max = node.op_type == "MaxPool"
    pad = produced_by(node.inputs[0], "Pad") if is_max else sole_producer(node.inputs[0], "Pad")
    extra = spatial_amounts(pad, -np.inf, LOWEST) if is_max else spatial_amounts(pad, 0.0, 0.0)
    if pad is None or extra is None or "auto_pad" in node.attributes:
        return False
    own = list(ints_attribute(node, "pads") or [0] * len(extra))
    pads = [a + b for a, b in zip(own, extra, strict=True)]
    if node.op_type != "Conv" and not _can_pad(node, own, pads):
        return False
    if node.op_type == "AveragePool":
        node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    node.attributes["pads"] = ir.AttrInt64s("pads", pads)
    node.replace_input_with(0, pad.inputs[0])
    remove_unused(pad)
    return True


def _can_pad(pool: ir.Node, own: list[int], pads: list[int]) -> bool:
    """Whether a pool with these pads instead of its `own` is the same behind a Pad, and one that ONNX Runtime takes."""
    window = ints_attribute(pool, "kernel_shape") * 2
    if int_attribute(pool, "ceil_mode") or any(map(operator.ge, pads, window)):
        return False
    if pool.op_type == "MaxPool":
        return len(pool.outputs) == 1
    return not any(own) or bool(int_attribute(pool, "count_include_pad"))


def spatial_zeros(pad: ir.Node) -> list[int] | None:
    """The Pad's amounts without batch and channel, begin and end; None when it is not a plain spatial zero padding."""
    return spatial_amounts(pad, 0.0, 0.0)


def spatial_amounts(pad: ir.Node | None, lowest: float, highest: float) -> list[int] | None:
    """The amounts of a plain spatial padding with a number of this range; None for any other."""
    if pad is None:
        return None
    shape, amounts = shape_of(pad.inputs[0]), constant(pad.inputs[1])
    fill = pad.inputs[2] if len(pad.inputs) > 2 else None
    value = 0.0 if fill is None else scalar(fill)
    if shape is None or amounts is None or value is None or not lowest <= value <= highest:
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
