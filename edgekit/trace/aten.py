"""One rule per ATen operator: what vision models are made of, as ONNX.

A rule takes the context, the operator's result (a tensor or several: shapes and types), then the operator's arguments
by position, tensors as ONNX values. It returns the value (or the list of values) that stands for the result; what it
leaves out, such as the indices of a max pool, is not in the graph. Names are ATen's own below autograd, `linear` and
`matmul` apart, which are taken whole.
Source of the semantics: https://docs.pytorch.org/docs/stable/torch.compiler_ir.html and the ATen native functions.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir
import torch

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
UNCOVERED = "an operator is used in a way that its rule does not cover"


class Untraceable(RuntimeError):
    """A call that the rules have no ONNX for."""


class Context(Protocol):
    """What a rule writes with."""

    def op(self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; its output, or the list of its outputs when there are several."""

    def number(self, label: str, array: Any, dtype: str) -> ir.Value:
        """A constant of the present operator."""
        ...


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the decorated function for these operators (in-place forms included)."""

    def decorate(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return decorate


def is_value(operand: Any) -> bool:
    return isinstance(operand, ir.Value)


def ints(values: Any, rank: int = 2) -> list[int]:
    """An int or a list of one as `rank` ints."""
    listed = [int(v) for v in values] if isinstance(values, list | tuple) else [int(values)]
    return listed * rank if len(listed) == 1 else listed


# -- linear ----------------------------------------------------------------------------------------------------------


@rule("convolution")
def convolution(
    c: Context,
    out: Any,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    if transposed or out.ndim != 4:
        raise Untraceable(UNCOVERED)
    pads = ints(padding) * 2
    strides, dilations = ints(stride), ints(dilation)
    operands = (x, weight) if bias is None else (x, weight, bias)
    return c.op("Conv", *operands, pads=pads, strides=strides, dilations=dilations, group=groups)


@rule("linear")
def linear(c: Context, out: Any, x: Any, weight: Any, bias: Any) -> Any:
    if out.ndim == 2 and bias is not None:
        return c.op("Gemm", x, weight, bias, transB=1)
    product = c.op("MatMul", x, c.op("Transpose", weight, perm=[1, 0]))
    return product if bias is None else c.op("Add", product, bias)


@rule("matmul", "mm", "bmm")
def matmul(c: Context, out: Any, a: Any, b: Any) -> Any:
    return c.op("MatMul", a, b)


@rule("addmm")
def addmm(c: Context, out: Any, bias: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return c.op("Gemm", a, b, bias, alpha=float(alpha), beta=float(beta))


@rule("scaled_dot_product_attention")
def attention(
    c: Context,
    out: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool = False,
) -> Any:
    if mask is not None or dropout or causal or grouped:
        raise Untraceable(UNCOVERED)
    width, rank = int(key.shape[-1]), len(key.shape)
    factor = c.number("scale", width**-0.5 if scale is None else scale, "float32")
    transposed = c.op("Transpose", key, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = c.op("MatMul", c.op("Mul", query, factor), transposed)
    return c.op("MatMul", c.op("Softmax", scores, axis=-1), value)


# -- normalization ---------------------------------------------------------------------------------------------------


@rule("native_batch_norm")
def batch_norm(
    c: Context,
    out: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    if training or mean is None or var is None:
        raise Untraceable(UNCOVERED)
    channels = out[0].shape[1]
    weight = c.number("weight", np.ones(channels), "float32") if weight is None else weight
    bias = c.number("bias", np.zeros(channels), "float32") if bias is None else bias
    return c.op("BatchNormalization", x, weight, bias, mean, var, epsilon=eps)


@rule("native_layer_norm")
def layer_norm(c: Context, out: Any, x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    weight = c.number("weight", np.ones(shape), "float32") if weight is None else weight
    operands = (x, weight) if bias is None else (x, weight, bias)
    return c.op("LayerNormalization", *operands, axis=-len(shape), epsilon=eps)


# -- activations -----------------------------------------------------------------------------------------------------

SIMPLE = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hardswish": "HardSwish",
    "erf": "Erf",
    "exp": "Exp",
    "sqrt": "Sqrt",
}
for _name, _op in SIMPLE.items():
    RULES[_name] = lambda c, out, x, op=_op: c.op(op, x)


@rule("hardsigmoid")
def hardsigmoid(c: Context, out: Any, x: Any) -> Any:
    return c.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@rule("silu")
def silu(c: Context, out: Any, x: Any) -> Any:
    return c.op("Mul", x, c.op("Sigmoid", x))


@rule("gelu")
def gelu(c: Context, out: Any, x: Any, approximate: str) -> Any:
    return c.op("Gelu", x, approximate=approximate)


@rule("leaky_relu")
def leaky_relu(c: Context, out: Any, x: Any, slope: float) -> Any:
    return c.op("LeakyRelu", x, alpha=float(slope))


@rule("hardtanh", "clamp")
def hardtanh(c: Context, out: Any, x: Any, low: Any, high: Any) -> Any:
    if is_value(low) or is_value(high):
        raise Untraceable(UNCOVERED)
    return clip(c, x, low, high)


def clip(c: Context, x: Any, low: float | None, high: float | None) -> Any:
    bounds = [None if b is None else c.number(n, b, "float32") for n, b in (("min", low), ("max", high))]
    return c.op("Clip", x, *bounds)


@rule("_softmax")
def softmax(c: Context, out: Any, x: Any, dim: int, half_to_float: bool) -> Any:
    return c.op("Softmax", x, axis=dim)


# -- pooling ---------------------------------------------------------------------------------------------------------


@rule("_adaptive_avg_pool2d")
def adaptive_avg_pool2d(c: Context, out: Any, x: Any, size: Any) -> Any:
    height, width = (int(s) for s in x.shape[-2:]) if x.shape is not None else (0, 0)
    if tuple(out.shape[-2:]) == (1, 1):
        return c.op("GlobalAveragePool", x)
    rows, columns = out.shape[-2:]
    if not height or x.shape is None:
        raise Untraceable(UNCOVERED)
    if height % rows or width % columns:
        windows = np.kron(adaptive_windows(height, rows), adaptive_windows(width, columns))
        lines = c.op("Reshape", x, c.number("lines", [*map(int, x.shape[:-2]), height * width], "int64"))
        pooled = c.op("MatMul", lines, c.number("windows", windows, "float32"))
        return c.op("Reshape", pooled, c.number("shape", list(out.shape), "int64"))
    kernel = [height // rows, width // columns]
    return c.op("AveragePool", x, kernel_shape=kernel, strides=kernel)


def adaptive_windows(size: int, out: int) -> Any:
    """f64[size, out]: the share of each pixel in each output. Windows overlap where `out` does not divide `size`."""
    pixel, index = np.arange(size)[:, None], np.arange(out)
    inside = (pixel >= index * size // out) & (pixel < -(-(index + 1) * size // out))
    return inside / inside.sum(0)


@rule("max_pool2d_with_indices")
def max_pool2d(
    c: Context, out: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    return c.op(
        "MaxPool",
        x,
        kernel_shape=ints(kernel),
        strides=ints(stride or kernel),
        pads=ints(padding) * 2,
        dilations=ints(dilation),
        ceil_mode=int(ceil_mode),
    )


@rule("avg_pool2d")
def avg_pool2d(
    c: Context, out: Any, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, include: bool, divisor: Any
) -> Any:
    if divisor is not None:
        raise Untraceable(UNCOVERED)
    return c.op(
        "AveragePool",
        x,
        kernel_shape=ints(kernel),
        strides=ints(stride or kernel),
        pads=ints(padding) * 2,
        ceil_mode=int(ceil_mode),
        count_include_pad=int(include),
    )


# -- arithmetic ------------------------------------------------------------------------------------------------------


def _operand(c: Context, value: Any, label: str) -> Any:
    return value if is_value(value) else c.number(label, value, "float32")


def _arithmetic(op: str) -> Rule:
    def lower(c: Context, out: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
        if alpha != 1 or out.dtype != torch.float32:
            raise Untraceable(UNCOVERED)
        return c.op(op, _operand(c, a, "a"), _operand(c, b, "b"))

    return lower


for _name, _op in {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}.items():
    RULES[_name] = _arithmetic(_op)


@rule("rsub")
def rsub(c: Context, out: Any, a: Any, b: Any, alpha: Any) -> Any:
    return RULES["sub"](c, out, b, a, alpha)


@rule("mean")
def mean(c: Context, out: Any, x: Any, dims: Any, keep: bool, dtype: Any) -> Any:
    if not isinstance(dims, list) or not dims:
        raise Untraceable(UNCOVERED)
    return c.op("ReduceMean", x, c.number("axes", dims, "int64"), keepdims=int(keep))


# -- shapes ----------------------------------------------------------------------------------------------------------


@rule("view", "unsqueeze", "squeeze", "_unsafe_view", "_reshape_alias")
def reshape(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    return c.op("Reshape", x, c.number("shape", list(out.shape), "int64"))


@rule("clone", "alias", "detach")
def unchanged(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    return x


@rule("permute")
def permute(c: Context, out: Any, x: Any, order: Sequence[int]) -> Any:
    return c.op("Transpose", x, perm=[int(axis) % out.ndim for axis in order])


@rule("transpose")
def transpose(c: Context, out: Any, x: Any, first: int, second: int) -> Any:
    order = list(range(out.ndim))
    order[first], order[second] = order[second], order[first]
    return c.op("Transpose", x, perm=order)


@rule("cat")
def cat(c: Context, out: Any, values: Sequence[Any], dim: int) -> Any:
    return c.op("Concat", *values, axis=int(dim) % out.ndim)


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
    if not isinstance(index, int):
        raise Untraceable(UNCOVERED)
    return c.op("Gather", x, c.number("index", index, "int64"), axis=int(dim) % (out.ndim + 1))


@rule("upsample_nearest2d")
def upsample_nearest2d(c: Context, out: Any, x: Any, size: Any, down: float | None, across: float | None) -> Any:
    sizes = whole_sizes(c, out, x, (down, across))
    where = "asymmetric"
    return c.op(
        "Resize", x, None, None, sizes, mode="nearest", nearest_mode="floor", coordinate_transformation_mode=where
    )


@rule("upsample_bilinear2d")
def upsample_bilinear2d(
    c: Context, out: Any, x: Any, size: Any, align_corners: bool, down: float | None, across: float | None
) -> Any:
    sizes = whole_sizes(c, out, x, (down, across))
    where = "align_corners" if align_corners else "half_pixel"
    return c.op("Resize", x, None, None, sizes, mode="linear", coordinate_transformation_mode=where)


def whole_sizes(c: Context, out: Any, x: Any, scales: Sequence[float | None]) -> Any:
    """The result's shape as Resize takes it, where it says all: ATen samples at the scale that it was given."""
    for scale, before, after in zip(scales, x.shape[2:], out.shape[2:], strict=True):
        if scale is not None and scale * int(before) != after:
            raise Untraceable(UNCOVERED)
    return c.number("sizes", list(out.shape), "int64")


@rule("slice")
def slice_(c: Context, out: Any, x: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    last = np.iinfo(np.int64).max
    bounds = {"start": start or 0, "end": last if end is None or end == math.inf else end, "axis": dim, "step": step}
    if not all(isinstance(value, int) for value in bounds.values()):
        raise Untraceable(UNCOVERED)
    return c.op("Slice", x, *(c.number(label, [value], "int64") for label, value in bounds.items()))


@rule("index_select")
def index_select(c: Context, out: Any, x: Any, dim: int, index: Any) -> Any:
    return c.op("Gather", x, index, axis=int(dim) % out.ndim)


@rule("constant_pad_nd")
def pad(c: Context, out: Any, x: Any, amounts: Sequence[int], value: float) -> Any:
    """ATen counts from the last axis, (begin, end) each; ONNX wants all begins, then all ends."""
    if min(amounts) < 0:
        raise Untraceable(UNCOVERED)
    missing = out.ndim - len(amounts) // 2
    begins = [0] * missing + list(amounts[-2::-2])
    ends = [0] * missing + list(amounts[-1::-2])
    return c.op("Pad", x, c.number("pads", begins + ends, "int64"), c.number("value", value, "float32"))
