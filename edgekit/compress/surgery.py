"""Taking bundles of filters out of a graph, and silencing them where they are."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.compress.channels import Channels
from edgekit.compress.propagate import pads_of, slices_of
from edgekit.compress.unions import FROZEN
from edgekit.graph.constants import remove_unread
from edgekit.passes.rewrite import (
    constant,
    graph_of,
    int_attribute,
    new_constant,
    new_node,
    shape_of,
    substitute,
)

Kept = NDArray[np.bool_]


class _Cut:
    """A graph that loses bundles: what is left of every axis of every value."""

    def __init__(self, channels: Channels, removed: Collection[int]) -> None:
        self._channels, self._removed = channels, np.array(sorted(removed), np.int64)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def kept(self, value: ir.Value | None, axis: int) -> Kept:
        """bool[size]: which indices along an axis are left."""
        size = (self.shapes.get(str(value.name)) if value is not None else None) or shape_of(value) or ()
        bundles = self._channels.values.get(str(value.name)) if value is not None else None
        if bundles is None or bundles.shape[axis] == 1:
            return np.ones(size[axis], bool)
        dead = np.isin(bundles, self._removed)
        others = tuple(each for each in range(dead.ndim) if each != axis)
        return ~np.asarray(dead.all(axis=others))

    def slices(self, name: str) -> dict[int, Kept]:
        """Axis -> which slices of a constant are left."""
        axes = self._channels.constants.get(name, {})
        return {axis: ~np.isin(bundles, self._removed) for axis, bundles in axes.items()}

    def shape(self, value: ir.Value | None) -> tuple[int, ...]:
        """What is left of a value's shape."""
        return tuple(int(self.kept(value, axis).sum()) for axis in range(len(shape_of(value) or ())))


def remove(model: ir.Model, channels: Channels, removed: Collection[int]) -> ir.Model:
    """The graph without these bundles, as a new model.

    Args:
        channels: of `model`.
        removed: bundles of its groups; no group may lose all.
    """
    result = model.clone()
    cut = _Cut(channels, removed)
    cut.shapes = {str(value.name): shape_of(value) or () for node in result.graph for value in node.outputs}
    for name, value in result.graph.initializers.items():
        for axis, kept in cut.slices(name).items():
            _replace_constant(value, np.compress(kept, _array(value), axis))
    for node in list(result.graph):
        if rewrite := REWRITES.get(node.op_type):
            rewrite(cut, node)
    for node in result.graph:
        for value in node.outputs:
            if value.name in channels.values:
                value.shape = ir.Shape(_left(cut, value))
    remove_unread(result)
    return result


def mask(model: ir.Model, channels: Channels, removed: Collection[int]) -> ir.Model:
    """The same graph with every weight of these bundles at zero: their own, and those that read them.

    It computes what `remove` leaves, at the old cost.
    """
    result = model.clone()
    cut = _Cut(channels, removed)
    for name, value in result.graph.initializers.items():
        for axis, kept in cut.slices(name).items():
            array = np.array(_array(value))
            np.moveaxis(array, axis, 0)[~kept] = 0
            _replace_constant(value, array)
    return result


def _left(cut: _Cut, value: ir.Value) -> tuple[int, ...]:
    size = cut.shapes[str(value.name)]
    return tuple(int(cut.kept(value, axis).sum()) for axis in range(len(size)))


def _array(value: ir.Value) -> NDArray[np.generic]:
    assert value.const_value is not None
    return value.const_value.numpy()


def _replace_constant(value: ir.Value, array: NDArray[np.generic]) -> None:
    tensor = ir.Tensor(np.ascontiguousarray(array), name=value.name)
    value.const_value, value.shape = tensor, ir.Shape(array.shape)


def _set_input(node: ir.Node, index: int, array: NDArray[np.generic]) -> None:
    """A constant of the node's own in an input's place: others may read the one that was there."""
    node.replace_input_with(index, new_constant(graph_of(node), f"{node.outputs[0].name}_kept_{index}", array))


def _convolve(cut: _Cut, node: ir.Node) -> None:
    groups = int_attribute(node, "group", 1)
    if groups > 1 and groups == cut.shapes.get(str(node.inputs[0].name), shape_of(node.inputs[0]))[1]:  # type: ignore[index, union-attr]
        node.attributes["group"] = ir.AttrInt64("group", int(cut.kept(node.inputs[0], 1).sum()))


def _reshape(cut: _Cut, node: ir.Node) -> None:
    if len(node.inputs) > 1:
        left = np.array(_left(cut, node.outputs[0]), np.int64)
        if tuple(left) != cut.shapes[str(node.outputs[0].name)]:
            _set_input(node, 1, left)


def _split(cut: _Cut, node: ir.Node) -> None:
    axis = int_attribute(node, "axis") % len(cut.shapes[str(node.outputs[0].name)])
    if not cut.kept(node.inputs[0], axis).all():
        sizes = [int(cut.kept(value, axis).sum()) for value in node.outputs]
        if len(node.inputs) > 1:
            _set_input(node, 1, np.array(sizes, np.int64))
        else:
            node.attributes.pop("num_outputs", None)
            substitute_inputs(node, np.array(sizes, np.int64))


def substitute_inputs(node: ir.Node, sizes: NDArray[np.int64]) -> None:
    """Give a Split that halves its input sizes of its own."""
    node.resize_inputs(2)
    _set_input(node, 1, sizes)


def _slice(cut: _Cut, node: ir.Node) -> None:
    """A cut along an axis that loses channels becomes a selection of those that are left of it."""
    cuts = slices_of(node)
    rank = len(cut.shapes[str(node.outputs[0].name)])
    losing = [axis for axis in range(rank) if not cut.kept(node.inputs[0], axis).all()]
    if cuts is None or not losing:
        return
    source = read = node.inputs[0]
    assert read is not None
    chosen: list[ir.Node] = []
    axes, starts, ends, steps = [], [], [], []
    for axis, bounds in enumerate(cuts):
        kept = cut.kept(source, axis)
        if bounds == slice(None):
            continue
        first, last, step = bounds.indices(len(kept))
        if axis in losing:
            if step != 1:  # what is left of every second channel is no stride
                places = _moved(cut, source, axis, np.arange(len(kept))[bounds])
                chosen.append(_choose(node, chosen[-1].outputs[0] if chosen else read, axis, places))
                continue
            first, last = int(kept[:first].sum()), int(kept[:last].sum())
        axes.append(axis)
        starts.append(first)
        ends.append(last if step > 0 or last >= 0 else -(2**62))
        steps.append(step)
    if chosen and not axes:
        substitute(node, chosen)
        return
    if chosen:
        graph_of(node).insert_before(node, chosen)
        node.replace_input_with(0, chosen[-1].outputs[0])
    node.resize_inputs(5)
    for index, numbers in enumerate((starts, ends, axes, steps), start=1):
        _set_input(node, index, np.array(numbers, np.int64))


def _choose(node: ir.Node, read: ir.Value, axis: int, places: NDArray[np.int64]) -> ir.Node:
    """Places of one axis of what a Slice reads, as a Gather."""
    indices = new_constant(graph_of(node), f"{node.outputs[0].name}_chosen{axis}", places)
    shape = [len(places) if index == axis else size for index, size in enumerate(shape_of(read) or ())]
    return new_node("Gather", [read, indices], {"axis": axis}, of=node, suffix=f"chosen{axis}", shape=shape)


def _moved(cut: _Cut, value: ir.Value | None, axis: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices into what is left of an axis, without those that went."""
    kept = cut.kept(value, axis)
    positions = np.cumsum(kept) - 1
    places = np.where(places < 0, places + len(kept), places)
    return np.asarray(positions[places[kept[places]]], np.int64)


def _gather(cut: _Cut, node: ir.Node) -> None:
    axis = int_attribute(node, "axis") % len(shape_of(node.inputs[0]) or (1,))
    indices = constant(node.inputs[1])
    if indices is None or cut.kept(node.inputs[0], axis).all():
        return
    moved = _moved(cut, node.inputs[0], axis, np.atleast_1d(indices))
    _set_input(node, 1, moved if indices.ndim else moved.reshape(()))


def _pad(cut: _Cut, node: ir.Node) -> None:
    pads = pads_of(node)
    if pads is None:
        return
    left = []
    for axis, (before, after) in enumerate(pads):
        kept = cut.kept(node.outputs[0], axis)
        inner = cut.kept(node.inputs[0], axis)
        if kept.all() and inner.all():
            left.append((before, after))
        else:
            left.append((int(kept[:before].sum()), int(kept[len(kept) - after :].sum())))
    if left != pads:
        _set_input(node, 1, np.array([b for b, _ in left] + [a for _, a in left], np.int64))


def _resize(cut: _Cut, node: ir.Node) -> None:
    sizes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    if sizes is not None and sizes.size == len(cut.shapes[str(node.outputs[0].name)]):
        _set_input(node, 3, np.array(_left(cut, node.outputs[0]), np.int64))


REWRITES: Mapping[str, Callable[[_Cut, ir.Node], None]] = {
    "Conv": _convolve,
    "Reshape": _reshape,
    "Expand": _reshape,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Resize": _resize,
}

assert FROZEN == 0  # no bundle of a group has this number, so nothing frozen can be removed
