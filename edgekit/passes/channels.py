"""Reading and changing the order of channels, axis 1: what only moves them, what they pass through, what takes any.

A node that acts on every channel alike (a ReLU, a pool, a depthwise convolution) computes the same in another order
once its constants are in that order. A convolution or a linear layer reads any order once its weights do, and writes
any.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.passes.rewrite import (
    Array,
    constant,
    constant_operand,
    has_one_use,
    int_attribute,
    ints_attribute,
    set_constant,
    shape_of,
    sole_producer,
)

Indices = NDArray[np.int64]

PLAIN = frozenset(
    {"Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Gelu", "LeakyRelu", "Elu"}
    | {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)
"""Operators that act on every channel alike, without constants per channel."""


MAX_GROUPS = 3
"""Groups of a convolution whose channels are put together from runs: between two such layers it takes 3 * 3 of them."""

ARITHMETIC = ("Mul", "Add", "Sub", "Div")


class Free(NamedTuple):
    """A Conv or Gemm that takes or makes channels in any order, and the nodes between it and the value in question.

    Args:
        through: nodes that act on every channel alike, in the order of the graph; may be none.
        linear: a Conv or Gemm with constant weights; between groups, no channel can move.
    """

    through: tuple[ir.Node, ...]
    linear: ir.Node


def channels_of(value: ir.Value | None) -> int:
    """The size of axis 1; 0 where a value has no such axis or no static shape."""
    shape = shape_of(value)
    return shape[1] if shape is not None and len(shape) > 1 else 0


def moved_channels(node: ir.Node) -> Iterator[tuple[ir.Value, list[tuple[ir.Value, Indices]]]]:
    """For each output of a node that only moves channels: (output, its parts in order: (source, channels of it)).

    Concat, Split, Slice and Gather along axis 1, and the end of a channel shuffle. Nothing for any other node.
    """
    if node.domain or not all(channels_of(value) for value in node.outputs):
        return
    match node.op_type:
        case "Concat" if _on_channels(node, "axis"):
            if all(channels_of(value) for value in node.inputs):
                yield node.outputs[0], [(value, np.arange(channels_of(value))) for value in node.inputs if value]
        case "Split" if _on_channels(node, "axis", 0):
            ends = np.cumsum([channels_of(value) for value in node.outputs])
            for end, value in zip(ends, node.outputs, strict=True):
                yield value, [(_data(node), np.arange(end - channels_of(value), end))]
        case "Slice" | "Gather" | "Reshape":
            picked = picked_channels(node)
            if picked is not None:
                yield node.outputs[0], [picked]


def moving_nodes(output: ir.Value) -> list[ir.Node]:
    """The node that makes a moved value, and for a shuffle the Transpose and the Reshape in front of it."""
    nodes = [output.producer()]
    while len(nodes) < 3 and nodes[0] is not None and nodes[0].op_type == "Reshape":
        nodes.append(
            nodes[-1].inputs[0].producer() if nodes[-1] is not None and nodes[-1].inputs[0] is not None else None
        )
    return [node for node in nodes if node is not None]


def picked_channels(node: ir.Node) -> tuple[ir.Value, Indices] | None:
    """(source, channels of it in order) of a Slice, a Gather or the end of a channel shuffle."""
    if node.op_type == "Reshape":
        return _shuffled(node)
    data = _data(node)
    size = channels_of(data)
    if node.op_type == "Gather" and _on_channels(node, "axis", 0) and size:
        indices = constant(node.inputs[1])
        return (data, indices.astype(np.int64) % size) if indices is not None and indices.ndim == 1 else None
    parameters = [constant(value) for value in node.inputs[1:]] if node.op_type == "Slice" else []
    if len(parameters) < 3 or any(array is None or array.size != 1 for array in parameters):
        return None
    start, end, axis, *step = (int(array.reshape(())) for array in parameters if array is not None)
    rank = len(shape_of(data) or ())
    return (data, np.arange(size)[start : end : (step or [1])[0]]) if size and axis % rank == 1 else None


def reorders(node: ir.Node) -> bool:
    """Whether a node takes channels out of their order: a shuffle, or a selection that is no run of neighbours."""
    picked = picked_channels(node) if node.op_type in ("Gather", "Reshape", "Slice") and not node.domain else None
    return picked is not None and bool((np.diff(picked[1]) != 1).any())


def _shuffled(end: ir.Node) -> tuple[ir.Value, Indices] | None:
    """Read Reshape(Transpose(Reshape(x))) as a channel shuffle: [N, a * b, ..] -> [N, a, b, ..] -> [N, b, a, ..]."""
    transpose = sole_producer(end.inputs[0], "Transpose")
    begin = sole_producer(transpose.inputs[0], "Reshape") if transpose is not None else None
    if transpose is None or begin is None:
        return None
    shape, split, result = (shape_of(value) for value in (begin.inputs[0], begin.outputs[0], end.outputs[0]))
    if shape is None or split is None or shape != result or len(shape) < 2 or len(split) != len(shape) + 1:
        return None
    order = [0, 2, 1, *range(3, len(split))]
    if ints_attribute(transpose, "perm") != order or split != (shape[0], *split[1:3], *shape[2:]):
        return None
    return _data(begin), np.arange(shape[1]).reshape(split[1:3]).T.reshape(-1)


def find_reader(consumer: ir.Node, value: ir.Value) -> Free | None:
    """What reads `value` through `consumer` in any order of channels; None where the order matters."""
    through: list[ir.Node] = []
    while consumer.inputs.count(value) == 1 and channels_of(value):
        if not treats_channels_alike(consumer):
            free = is_free_linear(consumer) and consumer.inputs[0] is value
            return Free(tuple(through), consumer) if free else None
        if not has_one_use(consumer.outputs[0]):
            return None
        through.append(consumer)
        value = consumer.outputs[0]
        [(consumer, _)] = value.uses()
    return None


def find_writer(value: ir.Value) -> Free | None:
    """The Conv that makes `value`, and what it passes through, where nothing else reads on the way; else None.

    Its channels can be written in any order.
    """
    through: list[ir.Node] = []
    node = value.producer()
    while node is not None:
        if not treats_channels_alike(node):
            free = node.op_type == "Conv" and is_free_linear(node)
            return Free(tuple(reversed(through)), node) if free else None
        through.append(node)
        data = _computed_input(node)
        node = data.producer() if data is not None and has_one_use(data) else None
    return None


def has_channel_constants(node: ir.Node) -> bool:
    """Whether `reorder_constants` has something to do."""
    found = _channel_axis(node) if node.op_type in ARITHMETIC else None
    return node.op_type == "Conv" or (found is not None and found[2] is not None)


def is_free_linear(node: ir.Node) -> bool:
    """Whether every output of a Conv or Gemm reads every input channel, of its group, through constant weights."""
    if node.op_type not in ("Conv", "Gemm") or node.domain or constant(node.inputs[1]) is None:
        return False
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if node.op_type == "Gemm":
        flat = bias is None or (constant(bias) is not None and len(shape_of(bias) or ()) == 1)
        return flat and not int_attribute(node, "transA")
    return groups_of(node) <= MAX_GROUPS and (bias is None or constant(bias) is not None)


def groups_of(linear: ir.Node) -> int:
    """Groups of a Conv; any other layer is one."""
    return int_attribute(linear, "group", 1) if linear.op_type == "Conv" else 1


def treats_channels_alike(node: ir.Node) -> bool:
    """Whether a node computes the same in another order of channels, given its constants in that order."""
    if node.domain or len(node.outputs) != 1:
        return False
    inputs, outputs = shape_of(_computed_input(node)), shape_of(node.outputs[0])
    if inputs is None or outputs is None or len(inputs) < 2 or inputs[:2] != outputs[:2]:
        return False
    match node.op_type:
        case "Conv":
            return int_attribute(node, "group", 1) == inputs[1] and all(map(_is_constant, node.inputs[1:]))
        case "Mul" | "Add" | "Sub" | "Div":
            return _channel_axis(node) is not None
        case "ReduceMean":
            axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
            return axes is not None and all(axis % len(inputs) > 1 for axis in axes.reshape(-1).tolist())
        case "Reshape" | "Flatten":
            return all(size == 1 for size in (*inputs[2:], *outputs[2:]))
    return node.op_type in PLAIN


def _channel_axis(node: ir.Node) -> tuple[int, Array, int | None] | None:
    """(index of the constant, constant, its axis of channels or None where it is one number) of binary arithmetic."""
    operand = constant_operand(node)
    if operand is None or len(shape_of(operand[0]) or ()) < 2:
        return None
    source, array, index = operand
    axis = array.ndim - len(shape_of(source) or ()) + 1
    wide = [each for each, size in enumerate(array.shape) if size != 1]
    if shape_of(source) != shape_of(node.outputs[0]) or wide not in ([], [axis]):
        return None
    return index, array, axis if wide else None


def reorder_constants(node: ir.Node, order: Indices) -> None:
    """Let a node that treats channels alike see them in another order: what stood at order[i] stands at i."""
    if node.op_type == "Conv":
        reorder_outputs(node, order)
    elif (found := _channel_axis(node) if node.op_type in ARITHMETIC else None) is not None:
        index, array, axis = found
        if axis is not None:
            set_constant(node, index, array.take(order, axis))


def reorder_outputs(linear: ir.Node, order: Indices) -> None:
    """Let a Conv write its channels in another order: what stood at order[i] stands at i."""
    for index, value in enumerate(linear.inputs[1:], 1):
        array = constant(value)
        if array is not None:
            set_constant(linear, index, array[order])


def reorder_inputs(linear: ir.Node, positions: Indices, size: int) -> None:
    """Let a Conv or Gemm find input channel i at `positions[i]` of `size` channels; weights of one position add up.

    A channel stays in its group.
    """
    weights, groups = constant(linear.inputs[1]), groups_of(linear)
    assert weights is not None
    if groups > 1:
        orders = np.argsort(positions.reshape(groups, -1), axis=1)
        rows = [block[:, order] for block, order in zip(np.split(weights, groups), orders, strict=True)]
        set_constant(linear, 1, np.concatenate(rows))
        return
    axis = 0 if linear.op_type == "Gemm" and not int_attribute(linear, "transB") else 1
    columns = np.moveaxis(weights, axis, 0)
    moved = np.zeros((size, *columns.shape[1:]), weights.dtype)
    np.add.at(moved, positions, columns)
    set_constant(linear, 1, np.moveaxis(moved, 0, axis))


def _computed_input(node: ir.Node) -> ir.Value | None:
    """The first input that is no constant."""
    return next((value for value in node.inputs if value is not None and constant(value) is None), None)


def _data(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _is_constant(value: ir.Value | None) -> bool:
    return value is None or constant(value) is not None


def _on_channels(node: ir.Node, name: str, default: int = 0) -> bool:
    rank = len(shape_of(node.inputs[0]) or ())
    return rank > 1 and int_attribute(node, name, default) % rank == 1
