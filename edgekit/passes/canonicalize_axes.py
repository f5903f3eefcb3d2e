"""Count axes and indices from the front."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.canonicalize_reduce_mean import reduced_axes
from edgekit.passes.rewrite import (
    Array,
    constant,
    for_each,
    graph_of,
    int_attribute,
    new_constant,
    set_constant,
    shape_of,
)

WITH_AXIS = ("Concat", "Softmax", "LogSoftmax", "ArgMax", "ArgMin", "LayerNormalization", "Gather", "Split")
LAST_BY_DEFAULT = ("Softmax", "LogSoftmax", "LayerNormalization")
REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2")


def canonicalize_axes(model: ir.Model) -> bool:
    """Axes, indices, starts and ends become non-negative numbers, stated in full.

    Slice: starts, ends, axes and steps are int64 constants, ends at most the size of the axis.
    Split: sizes are a constant.        Gather: constant indices count from 0.
    Pad: amounts of all axes, none named: ONNX Runtime's own rewrites take them for that.
    Reductions: axes are a sorted constant input.

    Skips: a value of unknown shape; a Slice that runs backwards; indices that are computed at run time.
    """
    axes = for_each(model, WITH_AXIS, _axis)
    splits = for_each(model, ("Split",), _split)
    gathers = for_each(model, ("Gather",), _gather)
    slices = for_each(model, ("Slice",), _slice)
    pads = for_each(model, ("Pad",), _pad)
    return for_each(model, REDUCTIONS, _reduction) or axes or splits or gathers or slices or pads


def _axis(node: ir.Node) -> bool:
    shape, axis = shape_of(node.inputs[0]), int_attribute(node, "axis", -1 if node.op_type in LAST_BY_DEFAULT else 0)
    if shape is None or axis >= 0:
        return False
    node.attributes["axis"] = ir.AttrInt64("axis", axis + len(shape))
    return True


def _split(node: ir.Node) -> bool:
    axis = int_attribute(node, "axis")
    sizes = [shape[axis] for shape in map(shape_of, node.outputs) if shape is not None]
    if (len(node.inputs) > 1 and node.inputs[1] is not None) or len(sizes) != len(node.outputs):
        return False
    node.attributes.pop("num_outputs", None)
    node.resize_inputs(2)
    node.replace_input_with(1, new_constant(graph_of(node), f"{node.name}_sizes", np.array(sizes, np.int64)))
    return True


def _pad(node: ir.Node) -> bool:
    named = node.inputs[3] if len(node.inputs) > 3 else None
    shape, axes, amounts = shape_of(node.inputs[0]), constant(named), constant(node.inputs[1])
    if shape is None or axes is None or amounts is None:
        return False
    full = np.zeros((2, len(shape)), np.int64)
    full[:, axes.reshape(-1) % len(shape)] = amounts.reshape(2, -1)
    set_constant(node, 1, full.reshape(-1))
    node.resize_inputs(3)
    return True


def _gather(node: ir.Node) -> bool:
    indices, shape = constant(node.inputs[1]), shape_of(node.inputs[0])
    if indices is None or shape is None or not (indices < 0).any():
        return False
    size = shape[int_attribute(node, "axis")]
    set_constant(node, 1, np.where(indices < 0, indices + size, indices).astype(indices.dtype))
    return True


def _slice(node: ir.Node) -> bool:
    shape = shape_of(node.inputs[0])
    arrays = [constant(value) for value in node.inputs[1:]]
    if shape is None or any(
        value is not None and array is None for value, array in zip(node.inputs[1:], arrays, strict=True)
    ):
        return False
    given = [None if array is None else array.astype(np.int64).reshape(-1) for array in (*arrays, None, None)]
    starts, ends, axes, steps = given[:4]
    if starts is None or ends is None:
        return False
    axes = np.arange(len(starts)) if axes is None else axes % len(shape)
    steps = np.ones_like(starts) if steps is None else steps
    if (steps < 0).any():
        return False
    sizes = np.array(shape, np.int64)[axes]
    starts = np.clip(np.where(starts < 0, starts + sizes, starts), 0, sizes)
    ends = np.clip(np.where(ends < 0, ends + sizes, ends), 0, sizes)
    wanted = [starts, ends, axes.astype(np.int64), steps]
    if len(arrays) == 4 and all(map(_equal, wanted, arrays)):
        return False
    node.resize_inputs(5)
    for index, (label, array) in enumerate(zip(("starts", "ends", "axes", "steps"), wanted, strict=True), start=1):
        node.replace_input_with(index, new_constant(graph_of(node), f"{node.name}_{label}", array))
    return True


def _equal(new: Array, old: Array | None) -> bool:
    return old is not None and old.dtype == np.int64 and np.array_equal(new, old)


def _reduction(node: ir.Node) -> bool:
    axes = reduced_axes(node)
    if not axes or ("axes" not in node.attributes and len(node.inputs) > 1 and _reads(node, axes)):
        return False
    node.attributes.pop("axes", None)
    node.resize_inputs(2)
    node.replace_input_with(1, new_constant(graph_of(node), f"{node.name}_axes", np.array(axes, np.int64)))
    return True


def _reads(node: ir.Node, axes: list[int]) -> bool:
    array = constant(node.inputs[1])
    return array is not None and array.tolist() == axes
