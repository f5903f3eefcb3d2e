"""A selection of channels in front of a grouped convolution becomes zeros in its weights."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.targets.tflite.graph import Graph, Node, Quant, Tensor

Indices = NDArray[np.int64]

Reader = Callable[[Node | None, str], Node | None]
"""(node, operator) -> the only reader of the node's result, where it is of that operator."""


def fold_gathers(graph: Graph) -> None:
    """Gather -> depthwise 1x1 -> grouped 1x1 -> channel shuffle becomes depthwise 1x1 -> dense 1x1.

    Each output keeps its inputs at the place where they come from, zeros elsewhere: CondenseNet's converted layer is
    its masked one again. XNNPACK has no GATHER, so each one ends a partition and copies byte by byte.

    Measured: CondenseNet-74 at 224 pixels, ai-edge-litert 2.3.0 on x86-64 with AVX2, one thread, CPU ms with GATHER /
        folded, in 37 partitions / in 1: C = G = 4, 80 / 56 in float and 74 / 44 in int8; C = G = 8, 54 / 43 and
        53 / 39. The file holds the zeros: it is up to 3.3 times as large.
    Skips:  a channel that is given twice with different constants, or twice to one group; values that something else
        reads; convolutions that are not 1x1.
    """
    consumers = graph.consumers()
    results = {id(tensor) for tensor in graph.outputs}

    def reader(node: Node | None, op: str) -> Node | None:
        """The only reader of a node's result, where it is of that operator."""
        readers = consumers.get(id(node.output), []) if node is not None and id(node.output) not in results else []
        return readers[0] if len(readers) == 1 and readers[0].op == op else None

    for gather in [node for node in graph.nodes if node.op == "Gather"]:
        index = _channels(gather)
        first = reader(gather, "Conv")
        if index is None or first is None:
            continue
        norm = first if _is_depthwise(first) else None
        linear = reader(norm, "Conv") if norm is not None else first
        if linear is None or not _is_pointwise(linear) or not _fits(norm, linear, index):
            continue
        shuffle = _shuffle(linear, reader)
        source, size = gather.input(0), gather.input(0).shape[1]
        _densify(linear, index, size, shuffle[1] if shuffle else np.arange(linear.output.shape[1]))
        if norm is None:
            linear.inputs[0] = source
        else:
            _spread_norm(norm, source, index, size)
        removed = {id(gather)}
        if shuffle is not None:
            removed |= {id(node) for node in shuffle[0]}
            linear.outputs = shuffle[0][-1].outputs
        graph.nodes = [node for node in graph.nodes if id(node) not in removed]


def _channels(gather: Node) -> Indices | None:
    """The channels that a Gather selects; None where they are not constant, or one run of neighbours: a SLICE."""
    source, index = gather.input(0), gather.input(1)
    if len(source.shape) != 4 or int(gather.attrs.get("axis", 0)) % 4 != 1 or index.data is None:
        return None
    channels = index.data.astype(np.int64) % source.shape[1]
    return channels if channels.ndim == 1 and bool((np.diff(channels) != 1).any()) else None


def _is_pointwise(conv: Node) -> bool:
    """Whether a convolution is 1x1 with constant, symmetric weights and a constant bias or none."""
    weights, bias = conv.input(1), conv.optional(2)
    constant = weights.data is not None and (bias is None or bias.data is not None)
    symmetric = weights.quant is None or not weights.quant.zero_point.any()
    return constant and symmetric and weights.shape[2:] == (1, 1) and not any(conv.attrs.get("pads", ()))


def _is_depthwise(conv: Node) -> bool:
    channels = conv.input(0).shape[1]
    alone = int(conv.attrs.get("group", 1)) == channels == conv.input(1).shape[0]
    return alone and _is_pointwise(conv) and set(conv.attrs.get("strides", (1,))) == {1}


def _fits(norm: Node | None, linear: Node, index: Indices) -> bool:
    """Whether each channel means the same wherever it is given, and no group is given it twice."""
    groups = index.reshape(int(linear.attrs.get("group", 1)), -1)
    if any(len(np.unique(group)) != len(group) for group in groups):
        return False
    _, first, inverse = np.unique(index, return_index=True, return_inverse=True)
    constants = [] if norm is None else [value for value in norm.inputs[1:] if value is not None]
    arrays = [array for value in constants for array in _arrays(value)]
    return all(np.array_equal(array[first][inverse], array) for array in arrays)


def _arrays(value: Tensor) -> list[NDArray[np.generic]]:
    """What a constant holds for each output channel: its numbers, and its scales where it has them."""
    assert value.data is not None
    scales = [value.quant.scale] if value.quant is not None and value.quant.scale.size > 1 else []
    return [value.data, *scales]


def _shuffle(linear: Node, reader: Reader) -> tuple[list[Node], Indices] | None:
    """(Reshape, Transpose, Reshape behind a convolution, which of its outputs each of them writes), or None."""
    begin = reader(linear, "Reshape")
    transpose = reader(begin, "Transpose")
    end = reader(transpose, "Reshape")
    if begin is None or transpose is None or end is None:
        return None
    shape, split = linear.output.shape, begin.output.shape
    if end.output.shape != shape or split != (shape[0], *split[1:3], *shape[2:]) or len(split) != 5:
        return None
    if tuple(transpose.attrs.get("perm", ())) != (0, 2, 1, 3, 4):
        return None
    return [begin, transpose, end], np.arange(shape[1]).reshape(split[1:3]).T.reshape(-1)


def _densify(linear: Node, index: Indices, size: int, order: Indices) -> None:
    """Weights [O, selected / G, 1, 1] over all `size` channels, without groups, its outputs in `order`."""
    weights, bias = linear.input(1), linear.optional(2)
    assert weights.data is not None
    outputs, group = weights.shape[0], int(linear.attrs.get("group", 1))
    rows = np.arange(outputs)[:, None]
    columns = index.reshape(group, -1)[rows[:, 0] // (outputs // group)]
    dense = np.zeros((outputs, size, 1, 1), weights.data.dtype)
    dense[rows, columns] = weights.data
    linear.inputs[1] = replace(weights, shape=dense.shape, data=dense[order], quant=_taken(weights.quant, order))
    if bias is not None and bias.data is not None:
        linear.inputs[2] = replace(bias, data=bias.data.reshape(-1)[order], quant=_taken(bias.quant, order))
    linear.attrs = {**linear.attrs, "group": 1}


def _taken(quant: Quant | None, order: Indices) -> Quant | None:
    if quant is None or quant.scale.size == 1:
        return quant
    return replace(quant, scale=quant.scale[order], zero_point=quant.zero_point[order])


def _spread_norm(norm: Node, source: Tensor, index: Indices, size: int) -> None:
    """Let a depthwise convolution write all `size` channels of `source`; those that nothing reads become 0."""
    for position, value in enumerate(norm.inputs[1:], 1):
        if value is not None and value.data is not None:
            data = np.zeros((size, *value.data.shape[1:]), value.data.dtype)
            data[index] = value.data
            norm.inputs[position] = replace(value, shape=data.shape, data=data, quant=_spread(value.quant, index, size))
    norm.inputs[0] = source
    norm.attrs = {**norm.attrs, "group": size}
    norm.output.shape = (norm.output.shape[0], size, *norm.output.shape[2:])


def _spread(quant: Quant | None, index: Indices, size: int) -> Quant | None:
    """Scales of the channels at their new places; channels that nothing reads take the usual one."""
    if quant is None or quant.scale.size == 1:
        return quant
    scale = np.full(size, np.median(quant.scale), np.float32)
    scale[index] = quant.scale
    return replace(quant, scale=scale, zero_point=np.zeros(size, np.int64))
