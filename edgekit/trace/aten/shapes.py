"""What moves values and computes nothing."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from edgekit.trace.aten.context import DTYPES, NAMES, Context, Rule, cast, is_value, require, rule

LAST = int(np.iinfo(np.int64).max)


@rule("view", "unsqueeze", "squeeze", "_unsafe_view", "_reshape_alias")
def reshape(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    return c.op("Reshape", x, c.number("shape", list(out.shape), "int64"))


@rule("clone", "alias", "detach", "_to_copy", "lift_fresh")
def unchanged(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    """Copies, of the layout in memory or of nothing, or as another type."""
    require(out.dtype in DTYPES)
    return cast(c, x, DTYPES[out.dtype])


@rule("copy")
def copy(c: Context, out: Any, x: Any, source: Any, *ignored: Any) -> Any:
    """A write of all of `x`; what it means for other views of the same memory, edgekit/trace/memory.py knows."""
    source = cast(c, source, DTYPES[out.dtype])
    if tuple(source.shape) == tuple(out.shape):
        return source
    return c.op("Expand", source, c.number("shape", list(out.shape), "int64"))


@rule("fill", "zero")
def fill(c: Context, out: Any, x: Any, value: Any = 0) -> Any:
    if is_value(value):
        return copy(c, out, x, value)
    return c.number("filled", np.full(tuple(out.shape), value), NAMES[DTYPES[out.dtype]])


@rule("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def filled(c: Context, out: Any, *ignored: Any) -> Any:
    """A constant of the shape of a value."""
    require(out.dtype in DTYPES)
    return c.number("filled", out.clone(), NAMES[DTYPES[out.dtype]])


@rule("empty_like", "new_empty", "new_empty_strided")
def unwritten(c: Context, out: Any, *ignored: Any) -> Any:
    """Whatever lies there counts for nothing until it is written."""
    require(out.dtype in DTYPES)
    return c.number("unwritten", np.zeros(tuple(out.shape)), NAMES[DTYPES[out.dtype]])


@rule("expand")
def expand(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    return c.op("Expand", x, c.number("shape", list(out.shape), "int64"))


@rule("permute")
def permute(c: Context, out: Any, x: Any, order: Sequence[int]) -> Any:
    return c.op("Transpose", x, perm=[int(axis) % out.ndim for axis in order])


@rule("transpose")
def transpose(c: Context, out: Any, x: Any, first: int, second: int) -> Any:
    order = list(range(out.ndim))
    order[first], order[second] = order[second], order[first]
    return c.op("Transpose", x, perm=order)


@rule("t")
def t(c: Context, out: Any, x: Any) -> Any:
    return c.op("Transpose", x, perm=[1, 0]) if out.ndim == 2 else x


@rule("cat")
def cat(c: Context, out: Any, values: Sequence[Any], dim: int = 0) -> Any:
    full = [value for value in values if tuple(value.shape) != (0,)]  # torch takes an empty list into any cat
    require(bool(full))
    return c.op("Concat", *full, axis=int(dim) % out.ndim)


@rule("stack")
def stack(c: Context, out: Any, values: Sequence[Any], dim: int = 0) -> Any:
    axis = int(dim) % out.ndim
    shape = [1 if index == axis else size for index, size in enumerate(out.shape)]
    parts = [c.op("Reshape", value, c.number("shape", shape, "int64")) for value in values]
    return c.op("Concat", *parts, axis=axis)


@rule("split", "split_with_sizes")
def split(c: Context, out: Any, x: Any, sizes: Any, dim: int) -> Any:
    if len(out) == 1:
        return [x]
    lengths = c.number("sizes", [piece.shape[dim] for piece in out], "int64")
    return c.op("Split", x, lengths, outputs=len(out), axis=int(dim) % out[0].ndim)


@rule("unbind")
def unbind(c: Context, out: Any, x: Any, dim: int) -> Any:
    axis, shape = int(dim) % (out[0].ndim + 1), list(out[0].shape)
    parts = [x]
    if len(out) > 1:
        lengths = c.number("sizes", [1] * len(out), "int64")
        parts = c.op("Split", x, lengths, outputs=len(out), axis=axis)
    return [c.op("Reshape", part, c.number("shape", shape, "int64")) for part in parts]


@rule("select")
def select(c: Context, out: Any, x: Any, dim: int, index: int) -> Any:
    require(isinstance(index, int))
    return c.op("Gather", x, c.number("index", index, "int64"), axis=int(dim) % (out.ndim + 1))


@rule("slice")
def slice_(c: Context, out: Any, x: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    return cut(c, x, dim, start or 0, LAST if end is None or end == math.inf else end, step)


def cut(c: Context, x: Any, axis: int, start: int, end: int, step: int = 1) -> Any:
    bounds = {"start": start, "end": end, "axis": axis, "step": step}
    require(all(isinstance(value, int) for value in bounds.values()))
    return c.op("Slice", x, *(c.number(label, [value], "int64") for label, value in bounds.items()))


@rule("roll")
def roll(c: Context, out: Any, x: Any, shifts: Sequence[int], dims: Sequence[int] = ()) -> Any:
    require(len(dims) == len(shifts))
    for shift, axis in zip(shifts, dims, strict=True):
        if first := -shift % out.shape[axis]:
            x = c.op("Concat", cut(c, x, axis, first, LAST), cut(c, x, axis, 0, first), axis=int(axis) % out.ndim)
    return x


@rule("flip")
def flip(c: Context, out: Any, x: Any, dims: Sequence[int]) -> Any:
    for axis in dims:
        backwards = c.number("backwards", np.arange(out.shape[axis])[::-1], "int64")
        x = c.op("Gather", x, backwards, axis=int(axis) % out.ndim)
    return x


@rule("rot90")
def rotate(c: Context, out: Any, x: Any, times: int, dims: Sequence[int]) -> Any:
    first, second = (int(axis) % out.ndim for axis in dims)
    order = list(range(out.ndim))
    order[first], order[second] = order[second], order[first]
    match times % 4:
        case 0:
            return x
        case 1:
            return c.op(
                "Transpose", flip(c, torch.empty([int(n) for n in x.shape], device="meta"), x, [second]), perm=order
            )
        case 2:
            return flip(c, out, x, [first, second])
    return c.op("Transpose", flip(c, torch.empty([int(n) for n in x.shape], device="meta"), x, [first]), perm=order)


@rule("index_select")
def index_select(c: Context, out: Any, x: Any, dim: int, index: Any) -> Any:
    return c.op("Gather", x, index, axis=int(dim) % out.ndim)


@rule("gather")
def gather(c: Context, out: Any, x: Any, dim: int, index: Any, sparse: bool = False) -> Any:
    return c.op("GatherElements", x, cast(c, index, ir.DataType.INT64), axis=int(dim) % out.ndim)


@rule("embedding")
def embedding(c: Context, out: Any, table: Any, index: Any, *ignored: Any) -> Any:
    return c.op("Gather", table, cast(c, index, ir.DataType.INT64), axis=0)


@rule("repeat")
def repeat(c: Context, out: Any, x: Any, repeats: Sequence[int]) -> Any:
    missing = out.ndim - len(x.shape)
    if missing:
        x = c.op("Reshape", x, c.number("shape", [*[1] * missing, *map(int, x.shape)], "int64"))
    return c.op("Tile", x, c.number("repeats", list(repeats), "int64"))


@rule("as_strided")
def as_strided(c: Context, out: Any, x: Any, size: Sequence[int], stride: Sequence[int], offset: Any = None) -> Any:
    """Windows of memory: of a value that lies in the order of its axes, elements picked by their places."""
    places = np.full(tuple(out.shape), offset or 0, np.int64)
    for axis, step in enumerate(stride):
        places += (np.arange(out.shape[axis]) * step).reshape([-1 if axis == i else 1 for i in range(out.ndim)])
    require(int(places.max()) < math.prod(map(int, x.shape)))
    if np.array_equal(places.reshape(-1), np.arange(math.prod(map(int, x.shape)))):
        return c.op("Reshape", x, c.number("shape", list(out.shape), "int64"))
    flat = c.op("Reshape", x, c.number("flat", [-1], "int64"))
    return c.op("Gather", flat, c.number("places", places, "int64"), axis=0)


@rule("unfold")
def unfold(c: Context, out: Any, x: Any, dim: int, size: int, step: int) -> Any:
    """Windows along one axis, as a last axis."""
    axis = int(dim) % len(x.shape)
    starts = np.arange(out.shape[axis]) * step
    if step == size:
        rows = cut(c, x, axis, 0, int(starts[-1]) + size)
        shape = [*out.shape[: axis + 1], size, *out.shape[axis + 1 : -1]]
        table = c.op("Reshape", rows, c.number("shape", shape, "int64"))
    else:
        places = starts[:, None] + np.arange(size)
        table = c.op("Gather", x, c.number("places", places, "int64"), axis=axis)
    order = [*range(axis + 1), *range(axis + 2, out.ndim), axis + 1]
    return c.op("Transpose", table, perm=order)


def _triangle(upper: bool) -> Rule:
    def lower(c: Context, out: Any, x: Any, diagonal: int = 0) -> Any:
        ones = np.ones(tuple(out.shape[-2:]))
        kept = np.triu(ones, diagonal) if upper else np.tril(ones, diagonal)
        return c.op("Mul", x, c.number("kept", kept, "float32"))

    return lower


rule("triu")(_triangle(True))
rule("tril")(_triangle(False))


@rule("index")
def index(c: Context, out: Any, x: Any, indices: Sequence[Any]) -> Any:
    """By whole numbers. Of a mask the graph would not know how much it lets through."""
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    require(all(is_value(index) and index.dtype == ir.DataType.INT64 for _, index in given))
    if len(given) == 1:
        axis, places = given[0]
        require(places.const_value is not None or axis == 0)
        return c.op("Gather", x, places, axis=axis)
    return _index_by_several(c, out, x, given)


def _index_by_several(c: Context, out: Any, x: Any, given: Sequence[tuple[int, Any]]) -> Any:
    """Neighbouring axes as one, by the place of each element in it; leading axes by GatherND."""
    axes, places = [axis for axis, _ in given], [place for _, place in given]
    require(axes == list(range(axes[0], axes[0] + len(axes))))
    shape = [int(size) for size in x.shape]
    sizes = [shape[axis] for axis in axes]
    if all(place.const_value is not None for place in places):
        arrays = np.broadcast_arrays(*(place.const_value.numpy() for place in places))
        flat = np.ravel_multi_index([array % size for array, size in zip(arrays, sizes, strict=True)], sizes)
        merged = [*shape[: axes[0]], math.prod(sizes), *shape[axes[-1] + 1 :]]
        value = c.op("Reshape", x, c.number("merged", merged, "int64"))
        return c.op("Gather", value, c.number("places", flat, "int64"), axis=axes[0])
    require(axes[0] == 0)
    wide = np.broadcast_shapes(*(tuple(map(int, place.shape)) for place in places))
    full, column = c.number("wide", list(wide), "int64"), c.number("column", [*wide, 1], "int64")
    columns = [c.op("Reshape", c.op("Expand", place, full), column) for place in places]
    return c.op("GatherND", x, c.op("Concat", *columns, axis=len(wide)))


@rule("constant_pad_nd")
def pad(c: Context, out: Any, x: Any, amounts: Sequence[int], value: float = 0) -> Any:
    if min(amounts) < 0:
        sizes = [int(size) for size in x.shape]
        for place, (begin, end) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
            axis = out.ndim - 1 - place
            if begin < 0 or end < 0:
                x = cut(c, x, axis, max(-begin, 0), sizes[axis] - max(-end, 0))
        amounts = [max(amount, 0) for amount in amounts]
        if not any(amounts):
            return x
    return c.op("Pad", x, _amounts(c, out, amounts), c.number("value", value, "float32"))


@rule("reflection_pad1d", "reflection_pad2d")
def reflect(c: Context, out: Any, x: Any, amounts: Sequence[int]) -> Any:
    return c.op("Pad", x, _amounts(c, out, amounts), mode="reflect")


@rule("replication_pad1d", "replication_pad2d")
def replicate(c: Context, out: Any, x: Any, amounts: Sequence[int]) -> Any:
    return c.op("Pad", x, _amounts(c, out, amounts), mode="edge")


def _amounts(c: Context, out: Any, amounts: Sequence[int]) -> Any:
    """ATen counts from the last axis, (begin, end) each; ONNX wants all begins, then all ends."""
    require(min(amounts) >= 0)
    missing = out.ndim - len(amounts) // 2
    begins = [0] * missing + list(amounts[-2::-2])
    ends = [0] * missing + list(amounts[-1::-2])
    return c.number("pads", begins + ends, "int64")
