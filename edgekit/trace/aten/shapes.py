"""What moves values and computes nothing."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.trace.aten.context import Context, is_value, require, rule

LAST = int(np.iinfo(np.int64).max)


@rule("view", "unsqueeze", "squeeze", "_unsafe_view", "_reshape_alias")
def reshape(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    return c.op("Reshape", x, c.number("shape", list(out.shape), "int64"))


@rule("clone", "alias", "detach", "_to_copy")
def unchanged(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    """Copies, of the layout in memory or of nothing: the writer refuses a result of another type."""
    return x


@rule("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def filled(c: Context, out: Any, *ignored: Any) -> Any:
    """A constant of the shape of a value."""
    return c.number("filled", out, "float32")


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


@rule("index_select")
def index_select(c: Context, out: Any, x: Any, dim: int, index: Any) -> Any:
    return c.op("Gather", x, index, axis=int(dim) % out.ndim)


@rule("index")
def index(c: Context, out: Any, x: Any, indices: Sequence[Any]) -> Any:
    """One axis by constant whole numbers. Of a mask the graph would not know how much it lets through."""
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    require(len(given) == 1 and all(is_value(index) and index.const_value is not None for _, index in given))
    axis, places = given[0]
    require(places.dtype.numpy() == np.int64)
    return c.op("Gather", x, places, axis=axis)


@rule("constant_pad_nd")
def pad(c: Context, out: Any, x: Any, amounts: Sequence[int], value: float) -> Any:
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
