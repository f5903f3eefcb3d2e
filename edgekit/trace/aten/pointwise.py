"""Activations, arithmetic and sums over axes."""

from typing import Any

import torch

from edgekit.trace.aten.context import Context, Rule, is_value, require, rule

SIMPLE = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hardswish": "HardSwish",
    "erf": "Erf",
    "exp": "Exp",
    "log": "Log",
    "abs": "Abs",
    "mish": "Mish",
    "sqrt": "Sqrt",
}
for _name, _op in SIMPLE.items():
    rule(_name)(lambda c, out, x, op=_op: c.op(op, x))


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


@rule("elu")
def elu(c: Context, out: Any, x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    """scale (max(x, 0) + alpha (e^(input_scale min(x, 0)) - 1)): PyTorch writes SELU with it too."""
    require(input_scale == 1)
    return c.op("Elu", x, alpha=alpha) if scale == 1 else c.op("Selu", x, alpha=alpha, gamma=scale)


@rule("celu")
def celu(c: Context, out: Any, x: Any, alpha: float = 1.0) -> Any:
    return c.op("Celu", x, alpha=alpha)


@rule("softplus")
def softplus(c: Context, out: Any, x: Any, beta: float = 1, threshold: float = 20) -> Any:
    """log(1 + e^(beta x)) / beta; above the threshold PyTorch takes x, which it is to 2e-9."""
    require(threshold >= 20)
    if beta == 1:
        return c.op("Softplus", x)
    slope = c.number("beta", beta, "float32")
    return c.op("Div", c.op("Softplus", c.op("Mul", x, slope)), slope)


@rule("log_sigmoid_forward")
def log_sigmoid(c: Context, out: Any, x: Any) -> Any:
    """-softplus(-x): the logarithm of a sigmoid that is zero in float32 is not."""
    return negative(c, out, c.op("Softplus", negative(c, out, x)))


@rule("_prelu_kernel")
def prelu(c: Context, out: Any, x: Any, slopes: Any) -> Any:
    return c.op("PRelu", x, slopes)


@rule("reciprocal")
def reciprocal(c: Context, out: Any, x: Any) -> Any:
    return c.op("Div", c.number("one", 1, "float32"), x)


@rule("rsqrt")
def rsqrt(c: Context, out: Any, x: Any) -> Any:
    return c.op("Pow", x, c.number("exponent", -0.5, "float32"))


@rule("hardtanh", "clamp", "clamp_min")
def hardtanh(c: Context, out: Any, x: Any, low: Any, high: Any = None) -> Any:
    require(not is_value(low) and not is_value(high))
    bounds = [None if b is None else c.number(n, b, "float32") for n, b in (("min", low), ("max", high))]
    return c.op("Clip", x, *bounds)


@rule("_softmax")
def softmax(c: Context, out: Any, x: Any, dim: int, half_to_float: bool) -> Any:
    return c.op("Softmax", x, axis=dim)


@rule("_log_softmax")
def log_softmax(c: Context, out: Any, x: Any, dim: int, half_to_float: bool) -> Any:
    return c.op("LogSoftmax", x, axis=dim)


def _operand(c: Context, value: Any, label: str) -> Any:
    return value if is_value(value) else c.number(label, value, "float32")


@rule("neg")
def negative(c: Context, out: Any, x: Any) -> Any:
    return c.op("Mul", x, c.number("minus", -1, "float32"))


@rule("add")
def add(c: Context, out: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    return c.op("Add", _operand(c, a, "a"), _times(c, _operand(c, b, "b"), alpha))


@rule("sub")
def subtract(c: Context, out: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    return c.op("Sub", _operand(c, a, "a"), _times(c, _operand(c, b, "b"), alpha))


@rule("rsub")
def subtract_from(c: Context, out: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    return c.op("Sub", _operand(c, b, "b"), _times(c, a, alpha))


def _times(c: Context, value: Any, alpha: Any) -> Any:
    return value if alpha == 1 else c.op("Mul", value, c.number("alpha", alpha, "float32"))


def _of_two(op: str) -> Rule:
    def lower(c: Context, out: Any, a: Any, b: Any, rounding: str | None = None) -> Any:
        require(rounding is None)
        return c.op(op, _operand(c, a, "a"), _operand(c, b, "b"))

    return lower


for _name, _op in {"mul": "Mul", "div": "Div", "pow": "Pow"}.items():
    rule(_name)(_of_two(_op))


def _reduction(op: str) -> Rule:
    def lower(c: Context, out: Any, x: Any, dims: Any = None, keep: bool = False, dtype: Any = None) -> Any:
        require(dtype in (None, torch.float32))
        axes = list(dims) if isinstance(dims, list | tuple) and dims else list(range(len(x.shape)))
        if not x.shape:  # a number already
            return x
        return c.op(op, x, c.number("axes", axes, "int64"), keepdims=int(keep))

    return lower


rule("mean")(_reduction("ReduceMean"))
rule("sum")(_reduction("ReduceSum"))


@rule("linalg_vector_norm")
def norm(c: Context, out: Any, x: Any, order: Any, dims: Any, keep: bool, dtype: Any) -> Any:
    require(order == 2)
    result = _reduction("ReduceL2")(c, out, x, dims, keep, dtype)
    require(bool(x.shape))
    return result
