"""Tensors that share memory: what a write into a part makes of the whole, and what other views see of it then.

ONNX has values and no memory. Of each storage that a model writes into, the value of the whole is kept, in the order of
memory. A write into a view is put into it between Slices, by a Concat for each axis that the view holds a part of; a
view that is read afterwards is cut out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray

from edgekit.trace.aten.context import Context, Untraceable, require

Order = tuple[int, ...]


@dataclass(slots=True)
class Whole:
    """What a storage holds.

    Args:
        value: of the tensor that the storage was made for, which may be a view of it that holds all of it.
        shape, order: of that value, and its axes from the slowest to the fastest in memory.
        version: the storage's count of writes that `value` is of.
        owner: keeps the memory of a constant alive, so that no other tensor comes to lie there.
    """

    value: ir.Value
    shape: tuple[int, ...]
    order: Order
    version: int
    owner: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Where a view lies in a whole that lies in the order of memory.

    Args:
        lines: per axis of the whole, the positions that the view holds, one step apart.
        order: the view's axes from the slowest to the fastest.
    """

    lines: tuple[range, ...]
    order: Order

    @property
    def shape(self) -> list[int]:
        return [len(line) for line in self.lines]


class Memory:
    """The storages of one run."""

    def __init__(self) -> None:
        self._wholes: dict[int, Whole] = {}
        self._constants: set[int] = set()

    def add(self, tensor: torch.Tensor, value: ir.Value, owner: torch.Tensor | None = None) -> None:
        """A tensor with memory of its own, or one that holds all of its memory, was made."""
        if _fills(tensor):
            order = _order(tensor)
            self._wholes[address(tensor)] = Whole(value, tuple(tensor.shape), order, tensor._version, owner)
            self._constants |= {address(tensor)} if owner is not None else set()
        else:
            self._wholes.pop(address(tensor), None)

    def holds(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in a constant that was written into."""
        return bool(self._constants) and address(tensor) in self._constants

    def write(self, c: Context, tensor: torch.Tensor, value: ir.Value, version: int) -> None:
        """`tensor` is `value` from now on; the storage's count of writes is `version`."""
        whole = self._wholes.get(address(tensor))
        if whole is None:
            return
        if _fills(tensor):
            whole.value, whole.shape, whole.order = value, tuple(tensor.shape), _order(tensor)
        else:
            require(whole.version == version - 1)
            _to_memory(c, whole)
            block = _block(tensor, whole.shape)
            part = _reshaped(c, _transposed(c, value, block.order), block.shape)
            whole.value = _put(c, whole.value, list(whole.shape), part, block.lines)
        whole.version = version

    def read(self, c: Context, tensor: torch.Tensor) -> ir.Value:
        """What a view sees after its storage was written into by another one.

        Raises:
            Untraceable: that is not known.
        """
        whole = self._wholes.get(address(tensor))
        if whole is None or whole.version != tensor._version:
            raise Untraceable("a value is read that was overwritten, or that ONNX does not have")
        if tuple(tensor.shape) == whole.shape and _fills(tensor) and _order(tensor) == whole.order:
            return whole.value
        _to_memory(c, whole)
        block = _block(tensor, whole.shape)
        value = _cut(c, whole.value, list(whole.shape), block.lines)
        value = _reshaped(c, value, [tensor.shape[axis] for axis in block.order])
        return _transposed(c, value, tuple(np.argsort(block.order).tolist()))


def address(tensor: torch.Tensor) -> int:
    """Where a tensor's data lies; 0 for none."""
    return tensor.untyped_storage().data_ptr()


def _fills(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds every element of its storage once."""
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return whole and not tensor.storage_offset() and _shaped(tensor).permute(_order(tensor)).is_contiguous()


def _shaped(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor without data, of the same shape and strides."""
    return torch.empty_strided(tensor.shape, tensor.stride(), device="meta")


def _order(tensor: torch.Tensor) -> Order:
    strides = [stride if size > 1 else 0 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)]
    wide = [axis for axis, size in enumerate(tensor.shape) if size > 1]
    placed = iter(sorted(wide, key=lambda axis: -strides[axis]))
    return tuple(axis if size == 1 else next(placed) for axis, size in enumerate(tensor.shape))


def _to_memory(c: Context, whole: Whole) -> None:
    """Let a whole lie in the order of memory."""
    whole.value = _transposed(c, whole.value, whole.order)
    whole.shape = tuple(whole.shape[axis] for axis in whole.order)
    whole.order = tuple(range(len(whole.shape)))


def _block(tensor: torch.Tensor, shape: Sequence[int]) -> Block:
    """Where `tensor` lies in its whole.

    Raises:
        Untraceable: it is no block: its elements are not the product of a line of positions on each axis.
    """
    order = _order(tensor)
    strides, sizes = ([values[axis] for axis in order] for values in (tensor.stride(), tensor.shape))
    places: NDArray[Any] = np.full(sizes, tensor.storage_offset(), np.int64)
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        places += (np.arange(size) * stride).reshape([-1 if axis == other else 1 for other in range(len(sizes))])
    flat = places.reshape(-1)
    lines = [np.unique(line) for line in np.unravel_index(flat, shape)] if len(shape) else []
    require(bool((np.diff(flat) > 0).all()) and int(np.prod([len(line) for line in lines])) == flat.size)
    require(all(len(set(np.diff(line).tolist())) <= 1 for line in lines))
    return Block(tuple(_line(line) for line in lines), order)


def _line(positions: NDArray[Any]) -> range:
    first, step = int(positions[0]), int(positions[1] - positions[0]) if len(positions) > 1 else 1
    return range(first, int(positions[-1]) + 1, step)


def _cut(c: Context, value: ir.Value, shape: list[int], lines: Sequence[range]) -> ir.Value:
    for axis, line in enumerate(lines):
        if len(line) != shape[axis]:
            value = _slice(c, value, axis, line.start, line.stop, line.step)
    return value


def _put(c: Context, value: ir.Value, shape: list[int], part: ir.Value, lines: Sequence[range], axis: int = 0) -> Any:
    """`value` with `part` at the block that `lines` says, from an axis on."""
    while axis < len(lines) and len(lines[axis]) == shape[axis]:
        axis += 1
    if axis == len(lines):
        return part
    line, size = lines[axis], shape[axis]
    rest = [(other, kept) for other, kept in enumerate(lines) if other > axis and len(kept) != shape[other]]
    if rest:
        slab = _slice(c, value, axis, line.start, line.stop, line.step)
        inner = [*shape[:axis], len(line), *shape[axis + 1 :]]
        whole_axis = [*lines[:axis], range(len(line)), *lines[axis + 1 :]]
        part = _put(c, slab, inner, part, whole_axis, axis + 1)
    if line.step == 1:
        parts = [_slice(c, value, axis, 0, line.start)] if line.start else []
        parts += [part, *([_slice(c, value, axis, line.stop, size)] if line.stop < size else [])]
        return c.op("Concat", *parts, axis=axis)
    if len(line) * line.step == size:
        return _put_column(c, value, shape, part, line, axis)
    picked = np.arange(size)
    picked[line.start : line.stop : line.step] = size + np.arange(len(line))
    both = c.op("Concat", value, part, axis=axis)
    return c.op("Gather", both, c.number("places", picked, "int64"), axis=axis)


def _put_column(c: Context, value: ir.Value, shape: list[int], part: ir.Value, line: range, axis: int) -> ir.Value:
    """Every n-th position of an axis is a column of the axis in rows of n."""
    rows = [*shape[:axis], len(line), line.step, *shape[axis + 1 :]]
    table = _reshaped(c, value, rows)
    column = _reshaped(c, part, [*rows[: axis + 1], 1, *rows[axis + 2 :]])
    at = line.start
    parts = [_slice(c, table, axis + 1, 0, at)] if at else []
    parts += [column, *([_slice(c, table, axis + 1, at + 1, line.step)] if at + 1 < line.step else [])]
    return _reshaped(c, c.op("Concat", *parts, axis=axis + 1), shape)


def _slice(c: Context, value: ir.Value, axis: int, start: int, end: int, step: int = 1) -> ir.Value:
    bounds = (("start", start), ("end", end), ("axis", axis), ("step", step))
    found: ir.Value = c.op("Slice", value, *(c.number(label, [number], "int64") for label, number in bounds))
    return found


def _reshaped(c: Context, value: ir.Value, shape: Sequence[int]) -> ir.Value:
    found: ir.Value = c.op("Reshape", value, c.number("shape", list(shape), "int64"))
    return found


def _transposed(c: Context, value: ir.Value, order: Order) -> ir.Value:
    if list(order) == sorted(order):
        return value
    found: ir.Value = c.op("Transpose", value, perm=list(order))
    return found
