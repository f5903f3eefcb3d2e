"""One rule per ATen operator: what vision models are made of, as ONNX.

A rule takes the context, the operator's result (a fake tensor: shapes and types), then the operator's arguments by
position, tensors as ONNX values. It returns the value (or the list of values) that stands for the result.
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


class Context(Protocol):
    """What a rule writes with."""

    def op(self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; its output, or the list of its outputs when there are several."""

    def number(self, label: str, array: Any, dtype: str) -> ir.Value:
        """A constant of the present operator."""
        ...

    def refuse(self) -> Exception:
        """What to raise for a use that the rule does not cover."""
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


@rule("conv2d")
def conv2d(
    c: Context, out: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    if isinstance(padding, str):
        raise c.refuse()
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


@rule("matmul", "bmm")
def matmul(c: Context, out: Any, a: Any, b: Any) -> Any:
    return c.op("MatMul", a, b)


# -- normalization ---------------------------------------------------------------------------------------------------


@rule("batch_norm")
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
    cudnn: bool,
) -> Any:
    if training or mean is None or var is None:
        raise c.refuse()
    channels = out.shape[1]
    weight = c.number("weight", np.ones(channels), "float32") if weight is None else weight
    bias = c.number("bias", np.zeros(channels), "float32") if bias is None else bias
    return c.op("BatchNormalization", x, weight, bias, mean, var, epsilon=eps)


@rule("layer_norm")
def layer_norm(
    c: Context, out: Any, x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float, cudnn: bool
) -> Any:
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


@rule("relu6")
def relu6(c: Context, out: Any, x: Any) -> Any:
    return clip(c, x, 0.0, 6.0)


@rule("hardtanh", "clamp")
def hardtanh(c: Context, out: Any, x: Any, low: Any, high: Any) -> Any:
    if is_value(low) or is_value(high):
        raise c.refuse()
    return clip(c, x, low, high)


def clip(c: Context, x: Any, low: float | None, high: float | None) -> Any:
    bounds = [None if b is None else c.number(n, b, "float32") for n, b in (("min", low), ("max", high))]
    return c.op("Clip", x, *bounds)


@rule("softmax")
def softmax(c: Context, out: Any, x: Any, dim: int, dtype: Any) -> Any:
    return c.op("Softmax", x, axis=dim)


# -- pooling ---------------------------------------------------------------------------------------------------------


@rule("adaptive_avg_pool2d")
def adaptive_avg_pool2d(c: Context, out: Any, x: Any, size: Any) -> Any:
    height, width = (int(s) for s in x.shape[-2:]) if x.shape is not None else (0, 0)
    if tuple(out.shape[-2:]) == (1, 1):
        return c.op("GlobalAveragePool", x)
    rows, columns = out.shape[-2:]
    if not height or x.shape is None:
        raise c.refuse()
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


@rule("max_pool2d")
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
        raise c.refuse()
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
            raise c.refuse()
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
        raise c.refuse()
    return c.op("ReduceMean", x, c.number("axes", dims, "int64"), keepdims=int(keep))


# -- shapes ----------------------------------------------------------------------------------------------------------


@rule("flatten", "view", "reshape", "unsqueeze", "squeeze", "unflatten", "_unsafe_view")
def reshape(c: Context, out: Any, x: Any, *ignored: Any) -> Any:
    return c.op("Reshape", x, c.number("shape", list(out.shape), "int64"))


@rule("dropout", "feature_dropout", "alpha_dropout")
def dropout(c: Context, out: Any, x: Any, share: float, training: bool) -> Any:
    if training:
        raise c.refuse()
    return x


@rule("contiguous", "clone", "alias", "detach", "lift_fresh_copy")
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


@rule("cat", "concat")
def cat(c: Context, out: Any, values: Sequence[Any], dim: int) -> Any:
    return c.op("Concat", *values, axis=int(dim) % out.ndim)


@rule("chunk", "split", "split_with_sizes")
def split(c: Context, out: Any, x: Any, sizes: Any, dim: int) -> Any:
    if len(out) == 1:
        return [x]
    lengths = c.number("sizes", [piece.shape[dim] for piece in out], "int64")
    return c.op("Split", x, lengths, outputs=len(out), axis=int(dim) % out[0].ndim)


@rule("getitem")
def getitem(c: Context, out: Any, values: Sequence[Any], index: int) -> Any:
    return values[index]


@rule("slice")
def slice_(c: Context, out: Any, x: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    last = np.iinfo(np.int64).max
    bounds = {"start": start or 0, "end": last if end is None or end == math.inf else end, "axis": dim, "step": step}
    if not all(isinstance(value, int) for value in bounds.values()):
        raise c.refuse()
    return c.op("Slice", x, *(c.number(label, [value], "int64") for label, value in bounds.items()))


@rule("narrow")
def narrow(c: Context, out: Any, x: Any, dim: int, start: int, length: int) -> Any:
    return RULES["slice"](c, out, x, dim, start, start + length, 1)


@rule("index_select")
def index_select(c: Context, out: Any, x: Any, dim: int, index: Any) -> Any:
    return c.op("Gather", x, index, axis=int(dim) % out.ndim)


@rule("pad", "constant_pad_nd")
def pad(c: Context, out: Any, x: Any, amounts: Sequence[int], *mode_and_value: Any) -> Any:
    """ATen counts from the last axis, (begin, end) each; ONNX wants all begins, then all ends."""
    mode = mode_and_value[0] if mode_and_value and isinstance(mode_and_value[0], str) else "constant"
    value = mode_and_value[-1] if mode_and_value and not isinstance(mode_and_value[-1], str) else 0.0
    if mode != "constant" or min(amounts) < 0:
        raise c.refuse()
    missing = out.ndim - len(amounts) // 2
    begins = [0] * missing + list(amounts[-2::-2])
    ends = [0] * missing + list(amounts[-1::-2])
    return c.op("Pad", x, c.number("pads", begins + ends, "int64"), c.number("value", value or 0.0, "float32"))
