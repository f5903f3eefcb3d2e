"""Activations, arithmetic and sums over axes."""

import math
from typing import Any

import onnx_ir as ir
import torch

from edgekit.trace.aten.context import DTYPES, Context, Rule, cast, is_value, operand, require, rule

FLOAT = ir.DataType.FLOAT

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
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "atan": "Atan",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
}
for _name, _op in SIMPLE.items():
    rule(_name)(lambda c, out, x, op=_op: c.op(op, cast(c, x, FLOAT)))


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


@rule("hardtanh", "clamp")
def hardtanh(c: Context, out: Any, x: Any, low: Any, high: Any = None) -> Any:
    if is_value(low) or is_value(high):
        x = x if low is None else c.op("Max", x, operand(c, low, "min"))
        return x if high is None else c.op("Min", x, operand(c, high, "max"))
    require(out.dtype == torch.float32)
    bounds = [None if b is None else c.number(n, b, "float32") for n, b in (("min", low), ("max", high))]
    return c.op("Clip", x, *bounds)


@rule("clamp_min")
def clamp_min(c: Context, out: Any, x: Any, low: Any) -> Any:
    return hardtanh(c, out, x, low)


@rule("clamp_max")
def clamp_max(c: Context, out: Any, x: Any, high: Any) -> Any:
    return hardtanh(c, out, x, None, high)


@rule("_softmax")
def softmax(c: Context, out: Any, x: Any, dim: int, half_to_float: bool) -> Any:
    return c.op("Softmax", x, axis=dim)


@rule("_log_softmax")
def log_softmax(c: Context, out: Any, x: Any, dim: int, half_to_float: bool) -> Any:
    return c.op("LogSoftmax", x, axis=dim)


@rule("neg")
def negative(c: Context, out: Any, x: Any) -> Any:
    return c.op("Mul", x, _number_like(c, x, "minus", -1))


def _number_like(c: Context, x: Any, label: str, value: Any) -> Any:
    return operand(c, value, label, x.dtype or FLOAT)


@rule("add")
def add(c: Context, out: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    a, b = _both(c, out, a, b)
    return c.op("Add", a, _times(c, b, alpha))


@rule("sub")
def subtract(c: Context, out: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    a, b = _both(c, out, a, b)
    return c.op("Sub", a, _times(c, b, alpha))


@rule("rsub")
def subtract_from(c: Context, out: Any, a: Any, b: Any, alpha: Any = 1) -> Any:
    a, b = _both(c, out, a, b)
    return c.op("Sub", b, _times(c, a, alpha))


def _both(c: Context, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands as values of the result's type."""
    return operand(c, a, "a", DTYPES[out.dtype]), operand(c, b, "b", DTYPES[out.dtype])


def _times(c: Context, value: Any, alpha: Any) -> Any:
    return value if alpha == 1 else c.op("Mul", value, _number_like(c, value, "alpha", alpha))


def _of_two(op: str) -> Rule:
    def lower(c: Context, out: Any, a: Any, b: Any) -> Any:
        require(out.dtype != torch.bool)
        return c.op(op, *_both(c, out, a, b))

    return lower


for _name, _op in {"mul": "Mul", "pow": "Pow", "maximum": "Max", "minimum": "Min"}.items():
    rule(_name)(_of_two(_op))


@rule("div")
def divide(c: Context, out: Any, a: Any, b: Any, rounding: str | None = None) -> Any:
    require(out.dtype == torch.float32)
    quotient = c.op("Div", *_both(c, out, a, b))
    if rounding is None:
        return quotient
    return c.op("Floor", quotient) if rounding == "floor" else truncate(c, out, quotient)


@rule("floor_divide")
def floor_divide(c: Context, out: Any, a: Any, b: Any) -> Any:
    return divide(c, out, a, b, "floor")


@rule("trunc", "fix")
def truncate(c: Context, out: Any, x: Any) -> Any:
    return c.op("Mul", c.op("Sign", x), c.op("Floor", c.op("Abs", x)))


@rule("round")
def round_(c: Context, out: Any, x: Any, decimals: int = 0) -> Any:
    require(not decimals)
    return c.op("Round", x)


@rule("frac")
def fraction(c: Context, out: Any, x: Any) -> Any:
    return c.op("Sub", x, truncate(c, out, x))


@rule("fmod")
def fmod(c: Context, out: Any, a: Any, b: Any) -> Any:
    require(out.dtype == torch.float32)
    return c.op("Mod", *_both(c, out, a, b), fmod=1)


@rule("remainder")
def remainder(c: Context, out: Any, a: Any, b: Any) -> Any:
    require(out.dtype != torch.bool)
    a, b = _both(c, out, a, b)
    if out.dtype != torch.float32:
        return c.op("Mod", a, b)
    return c.op("Sub", a, c.op("Mul", b, c.op("Floor", c.op("Div", a, b))))


def _scaled(outer: str, inner: str, before: float, after: float, shift: float = 0.0) -> Rule:
    """after * op(x * before + shift): logarithms and powers of other bases."""

    def lower(c: Context, out: Any, x: Any) -> Any:
        if before != 1:
            x = c.op("Mul", x, c.number("factor", before, "float32"))
        if inner:
            x = c.op(inner, x, c.number("shift", shift, "float32"))
        x = c.op(outer, x)
        return x if after == 1 else c.op("Mul", x, c.number("scale", after, "float32"))

    return lower


rule("log1p")(_scaled("Log", "Add", 1, 1, 1))
rule("log2")(_scaled("Log", "", 1, 1 / math.log(2)))
rule("log10")(_scaled("Log", "", 1, 1 / math.log(10)))
rule("exp2")(_scaled("Exp", "", math.log(2), 1))


@rule("expm1")
def exponential_less_one(c: Context, out: Any, x: Any) -> Any:
    return c.op("Sub", c.op("Exp", x), c.number("one", 1, "float32"))


@rule("addcmul")
def add_product(c: Context, out: Any, x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    return c.op("Add", x, _times(c, c.op("Mul", a, b), value))


@rule("addcdiv")
def add_quotient(c: Context, out: Any, x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    return c.op("Add", x, _times(c, c.op("Div", a, b), value))


@rule("lerp")
def interpolated(c: Context, out: Any, x: Any, end: Any, weight: Any) -> Any:
    return c.op("Add", x, c.op("Mul", operand(c, weight, "weight"), c.op("Sub", end, x)))


@rule("glu")
def gated(c: Context, out: Any, x: Any, dim: int = -1) -> Any:
    half = out.shape[dim]
    first, second = c.op("Split", x, c.number("sizes", [half, half], "int64"), outputs=2, axis=int(dim) % out.ndim)
    return c.op("Mul", first, c.op("Sigmoid", second))


@rule("softshrink")
def soft_shrink(c: Context, out: Any, x: Any, limit: Any = 0.5) -> Any:
    bounds = c.number("min", -limit, "float32"), c.number("max", limit, "float32")
    return c.op("Sub", x, c.op("Clip", x, *bounds))
