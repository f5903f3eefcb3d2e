"""Fold a crop of rows and columns into the window operator that computed them."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.fold_pad import spatial_zeros
from edgekit.passes.rewrite import (
    bypass,
    constant,
    for_each,
    graph_of,
    int_attribute,
    ints_attribute,
    new_constant,
    new_node,
    produced_by,
    set_constant,
    shape_of,
    sole_producer,
    substitute,
)

Region = list[tuple[int, int]]
"""What is kept of a feature map: (first, one past the last) row or column of each spatial axis."""


def fold_crop(model: ir.Model) -> bool:
    """Let a Conv or a pool compute only the rows and columns that the Slice behind it keeps.

    pads_begin' = pads_begin - first * stride, per spatial axis. Where this needs less of the operator's input too, the
    same is done to what computes that, through 1x1 Convs up to a zero Pad. A Slice of a zero Pad becomes a Pad of a
    Slice.

    TensorFlow's SAME padding at stride 2 is written so in torch: a row and column of zeros in front, one more output,
    cropped away. Folded, it is an asymmetric padding again.

    Shapes: x f32[N,C,H,W].
    Skips:  a Slice of batch or channels, or with steps; values with another use; a crop that would only move from an
        operator's output to its input; pools that round their size up.
    """
    return for_each(model, ("Slice",), _fold)


def _fold(node: ir.Node) -> bool:
    source, region = node.inputs[0], _region(node)
    if source is None or region is None:
        return False
    pad = produced_by(source, "Pad")
    if pad is not None:
        return _slice_before_pad(node, pad, region)
    if not _restrict(source, region, commit=False):
        return False
    _restrict(source, region, commit=True)
    return bypass(node, source)


def _region(node: ir.Node) -> Region | None:
    """What a Slice of spatial axes at step 1 keeps, or None."""
    shape, out = shape_of(node.inputs[0]), shape_of(node.outputs[0])
    starts, axes, steps = (constant(node.inputs[i]) if len(node.inputs) > i else None for i in (1, 3, 4))
    if shape is None or out is None or len(shape) < 3 or shape[:2] != out[:2] or starts is None or axes is None:
        return None
    if steps is not None and (steps != 1).any():
        return None
    first = np.zeros(len(shape), np.int64)
    for axis, start in zip(axes.reshape(-1), starts.reshape(-1), strict=True):
        first[axis] = np.clip(start + shape[axis] if start < 0 else start, 0, shape[axis])
    return [(int(low), int(low) + size) for low, size in zip(first[2:], out[2:], strict=True)]


def _restrict(value: ir.Value, region: Region, *, commit: bool) -> bool:
    """Whether what computes `value` can compute this region alone, without a Slice; with `commit`, make it so."""
    node, shape = sole_producer(value, "Conv", "MaxPool", "AveragePool", "Pad"), shape_of(value)
    if node is None or shape is None:
        return False
    restrict = _restrict_pad if node.op_type == "Pad" else _restrict_window
    if not restrict(node, region, commit):
        return False
    if commit:
        value.shape = ir.Shape((*shape[:2], *(stop - first for first, stop in region)))
    return True


def _restrict_window(node: ir.Node, region: Region, commit: bool) -> bool:
    source, shape = node.inputs[0], shape_of(node.inputs[0])
    rounds_up = int_attribute(node, "ceil_mode") or "auto_pad" in node.attributes
    if source is None or shape is None or rounds_up or len(node.outputs) > 1:
        return False
    weight = shape_of(node.inputs[1]) if node.op_type == "Conv" else None
    kernel = ints_attribute(node, "kernel_shape", weight[2:] if weight else ())
    if len(kernel) != len(region):
        return False
    ones, size = [1] * len(region), shape[2:]
    strides, dilations = ints_attribute(node, "strides", ones), ints_attribute(node, "dilations", ones)
    pads = ints_attribute(node, "pads", [0, 0] * len(region))
    starts = [low * stride - pad for (low, _), stride, pad in zip(region, strides, pads, strict=False)]
    reach = [
        (high - low - 1) * stride + (k - 1) * dilation + 1
        for (low, high), stride, k, dilation in zip(region, strides, kernel, dilations, strict=True)
    ]
    stops = [start + length for start, length in zip(starts, reach, strict=True)]
    # Rows at the end that no window reaches may stay, as long as they make no further window.
    needed = [
        (max(0, start), have if have - stop < stride else stop)
        for start, stop, stride, have in zip(starts, stops, strides, size, strict=True)
    ]
    if needed != _whole(size) and not _restrict(source, needed, commit=commit):
        return False
    if commit:
        node.attributes["pads"] = ir.AttrInt64s("pads", _margins(starts, stops, size))
    return True


def _restrict_pad(pad: ir.Node, region: Region, commit: bool) -> bool:
    """Pad by less; what is padded must be kept whole."""
    inside = _inside(pad, region)
    if inside is None:
        return False
    starts, stops, size = inside
    if any(start > 0 for start in starts) or any(stop < have for stop, have in zip(stops, size, strict=True)):
        return False
    if commit:
        set_constant(pad, 1, _amounts(starts, stops, size))
        if len(pad.inputs) > 3:
            pad.replace_input_with(3, None)
    return True


def _slice_before_pad(node: ir.Node, pad: ir.Node, region: Region) -> bool:
    """Slice(Pad(x)) as Pad(Slice(x)): less to copy, and the Pad may fold into what reads it."""
    inside, source = _inside(pad, region), pad.inputs[0]
    if inside is None or source is None:
        return False
    starts, stops, size = inside
    kept = [(max(0, start), min(stop, have)) for start, stop, have in zip(starts, stops, size, strict=True)]
    if any(low >= high for low, high in kept):
        return False
    nodes: list[ir.Node] = []
    if kept != _whole(size):
        nodes.append(_slice(node, source, kept))
        source = nodes[0].outputs[0]
    if any(_margins(starts, stops, size)):
        amounts = new_constant(graph_of(node), f"{pad.name}_amounts", _amounts(starts, stops, size))
        padded = new_node("Pad", [source, amounts], of=pad, suffix="cropped", shape=shape_of(node.outputs[0]))
        nodes.append(padded)
    if not nodes:
        return bypass(node, source)
    substitute(node, nodes)
    return True


def _slice(node: ir.Node, source: ir.Value, kept: Region) -> ir.Node:
    """The same kind of Slice of another value."""
    shape = shape_of(source) or ()
    bounds = [[low for low, _ in kept], [high for _, high in kept], list(range(2, len(shape)))]
    names = (f"{node.name}_{part}" for part in ("starts", "ends", "axes"))
    operands = [new_constant(graph_of(node), name, np.array(v)) for name, v in zip(names, bounds, strict=True)]
    size = (*shape[:2], *(high - low for low, high in kept))
    return new_node("Slice", [source, *operands], of=node, suffix="first", shape=size)


def _inside(pad: ir.Node, region: Region) -> tuple[list[int], list[int], tuple[int, ...]] | None:
    """(firsts, stops) of a region of a zero Pad's output in coordinates of its input, and the input's size."""
    amounts, shape = spatial_zeros(pad), shape_of(pad.inputs[0])
    if amounts is None or shape is None:
        return None
    starts = [low - before for (low, _), before in zip(region, amounts, strict=False)]
    stops = [high - before for (_, high), before in zip(region, amounts, strict=False)]
    return starts, stops, shape[2:]


def _whole(size: tuple[int, ...]) -> Region:
    return [(0, have) for have in size]


def _margins(starts: list[int], stops: list[int], size: tuple[int, ...]) -> list[int]:
    """Padding that starts..stops needs around `size`: all begins, then all ends."""
    return [max(0, -start) for start in starts] + [max(0, stop - have) for stop, have in zip(stops, size, strict=True)]


def _amounts(starts: list[int], stops: list[int], size: tuple[int, ...]) -> list[int]:
    """The same for a Pad, with batch and channels."""
    margins = _margins(starts, stops, size)
    return [0, 0, *margins[: len(size)], 0, 0, *margins[len(size) :]]
