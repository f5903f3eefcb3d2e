"""Sums, extremes and orders over axes."""

from typing import Any

import onnx_ir as ir
import torch

from edgekit.trace.aten.context import Context, Rule, cast, require, rule

FLOAT = ir.DataType.FLOAT


def reduced(c: Context, op: str, x: Any, dims: Any, keep: bool) -> Any:
    """`op` over the axes `dims`; over all of them where there are none."""
    if not x.shape:  # a number already
        return x
    given = list(dims) if isinstance(dims, list | tuple) else ([] if dims is None else [dims])
    axes = [int(axis) % len(x.shape) for axis in given] or list(range(len(x.shape)))
    return c.op(op, x, c.number("axes", axes, "int64"), keepdims=int(keep))


def _reduction(op: str) -> Rule:
    def lower(c: Context, out: Any, x: Any, dims: Any = None, keep: bool = False, dtype: Any = None) -> Any:
        require(dtype in (None, torch.float32) and out.dtype == torch.float32)
        return reduced(c, op, cast(c, x, FLOAT), dims, keep)

    return lower


rule("mean")(_reduction("ReduceMean"))
rule("sum")(_reduction("ReduceSum"))
rule("amax")(_reduction("ReduceMax"))
rule("amin")(_reduction("ReduceMin"))
rule("logsumexp")(_reduction("ReduceLogSumExp"))


def _extreme(op: str, index: str) -> Rule:
    """The extreme of all, or of an axis with where it is."""

    def lower(c: Context, out: Any, x: Any, dim: int | None = None, keep: bool = False) -> Any:
        require(x.dtype == FLOAT and bool(x.shape))
        if dim is None:
            return reduced(c, op, x, None, False)
        axis = int(dim) % len(x.shape)
        return [reduced(c, op, x, axis, keep), c.op(index, x, axis=axis, keepdims=int(keep))]

    return lower


rule("max")(_extreme("ReduceMax", "ArgMax"))
rule("min")(_extreme("ReduceMin", "ArgMin"))


@rule("aminmax")
def aminmax(c: Context, out: Any, x: Any, dim: int | None, keep: bool) -> Any:
    require(x.dtype == FLOAT and bool(x.shape))
    return [reduced(c, op, x, dim, keep) for op in ("ReduceMin", "ReduceMax")]


def _place(op: str) -> Rule:
    def lower(c: Context, out: Any, x: Any, dim: int | None = None, keep: bool = False) -> Any:
        require(x.dtype == FLOAT and bool(x.shape) and (dim is not None or not keep))
        if dim is not None:
            return c.op(op, x, axis=int(dim) % len(x.shape), keepdims=int(keep))
        return c.op(op, c.op("Reshape", x, c.number("flat", [-1], "int64")), axis=0, keepdims=0)

    return lower


rule("argmax")(_place("ArgMax"))
rule("argmin")(_place("ArgMin"))


@rule("linalg_vector_norm")
def norm(c: Context, out: Any, x: Any, order: Any, dims: Any, keep: bool, dtype: Any) -> Any:
    require(bool(x.shape) and dtype in (None, torch.float32))
    if order in (1, 2):
        return reduced(c, f"ReduceL{int(order)}", x, dims, keep)
    require(order == float("inf"))
    size = c.op("Abs", x)
    size.shape = x.shape
    return reduced(c, "ReduceMax", size, dims, keep)


def _spread(c: Context, x: Any, dims: Any, correction: Any, keep: bool) -> Any:
    """The mean square of what differs from the mean, and Bessel's correction."""
    given = list(dims) if isinstance(dims, list | tuple) and dims else list(range(len(x.shape)))
    count = 1
    for axis in given:
        count *= int(x.shape[axis])
    correction = 1 if correction is None else correction
    require(count > correction)
    mean = reduced(c, "ReduceMean", x, given, True)
    away = c.op("Sub", x, mean)
    axes = c.number("axes", [int(axis) % len(x.shape) for axis in given], "int64")
    total = c.op("ReduceMean", c.op("Mul", away, away), axes, keepdims=int(keep))
    if correction:
        total = c.op("Mul", total, c.number("correction", count / (count - correction), "float32"))
    return total


@rule("var")
def variance(c: Context, out: Any, x: Any, dims: Any = None, correction: Any = None, keep: bool = False) -> Any:
    return _spread(c, x, dims, correction, keep)


@rule("std")
def deviation(c: Context, out: Any, x: Any, dims: Any = None, correction: Any = None, keep: bool = False) -> Any:
    return c.op("Sqrt", variance(c, out, x, dims, correction, keep))


@rule("var_mean")
def variance_and_mean(
    c: Context, out: Any, x: Any, dims: Any = None, correction: Any = None, keep: bool = False
) -> Any:
    return [_spread(c, x, dims, correction, keep), reduced(c, "ReduceMean", x, dims, keep)]


@rule("cumsum")
def cumulative_sum(c: Context, out: Any, x: Any, dim: int, dtype: Any = None) -> Any:
    require(out.dtype == torch.float32 and bool(x.shape))
    return c.op("CumSum", cast(c, x, FLOAT), c.number("axis", int(dim) % out.ndim, "int64"))


@rule("topk")
def topk(c: Context, out: Any, x: Any, k: int, dim: int = -1, largest: bool = True, ordered: bool = True) -> Any:
    require(x.dtype == FLOAT)
    count = c.number("k", [k], "int64")
    return c.op("TopK", x, count, outputs=2, axis=int(dim) % out[0].ndim, largest=int(largest), sorted=1)


@rule("sort")
def sort(c: Context, out: Any, x: Any, *order: Any) -> Any:
    """sort(x, dim, descending), and sort(x, stable, dim, descending): every element in order is a TopK of all."""
    *_, dim, descending = order if len(order) > 1 else (*order, False)
    return topk(c, out, x, out[0].shape[dim], dim, bool(descending))
