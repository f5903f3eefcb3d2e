"""Comparisons, logic, and the choice between values that they make."""

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch

from edgekit.trace.aten.context import DTYPES, Context, Rule, is_value, operand, require, rule

BOOL = ir.DataType.BOOL


def _comparison(op: str, negated: bool = False) -> Rule:
    def lower(c: Context, out: Any, a: Any, b: Any) -> Any:
        floats = any(isinstance(x, float) or (is_value(x) and x.dtype == ir.DataType.FLOAT) for x in (a, b))
        dtype = ir.DataType.FLOAT if floats else ir.DataType.INT64
        found = c.op(op, operand(c, a, "a", dtype), operand(c, b, "b", dtype))
        return c.op("Not", found) if negated else found

    return lower


for _name, _op in {"gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual", "eq": "Equal"}.items():
    rule(_name)(_comparison(_op))
rule("ne")(_comparison("Equal", negated=True))


def _logic(op: str) -> Rule:
    def lower(c: Context, out: Any, a: Any, b: Any) -> Any:
        require(out.dtype == torch.bool)
        return c.op(op, operand(c, a, "a", BOOL), operand(c, b, "b", BOOL))

    return lower


for _op, _names in {"And": "and", "Or": "or", "Xor": "xor"}.items():
    rule(f"logical_{_names}", f"bitwise_{_names}", f"__{_names}__")(_logic(_op))


@rule("logical_not", "bitwise_not")
def negation(c: Context, out: Any, x: Any) -> Any:
    require(out.dtype == torch.bool)
    return c.op("Not", operand(c, x, "x", BOOL))


@rule("where")
def where(c: Context, out: Any, condition: Any, a: Any, b: Any) -> Any:
    dtype = DTYPES[out.dtype]
    return c.op("Where", operand(c, condition, "condition", BOOL), operand(c, a, "a", dtype), operand(c, b, "b", dtype))


@rule("masked_fill")
def masked_fill(c: Context, out: Any, x: Any, mask: Any, value: Any) -> Any:
    return where(c, out, mask, value, x)


@rule("index_put")
def index_put(c: Context, out: Any, x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """By a mask over the first axes, and one value for all of its places."""
    require(len(indices) == 1 and indices[0].dtype == BOOL and not accumulate)
    require(is_value(values) and all(size == 1 for size in values.shape))
    mask, missing = indices[0], out.ndim - len(indices[0].shape)
    if missing:
        mask = c.op("Reshape", mask, c.number("mask", [*map(int, mask.shape), *[1] * missing], "int64"))
        mask.dtype = BOOL
    return where(c, out, mask, c.op("Reshape", operand(c, values, "value", DTYPES[out.dtype]), _one(c)), x)


def _one(c: Context) -> Any:
    return c.number("one", [1], "int64")


@rule("hardshrink")
def hard_shrink(c: Context, out: Any, x: Any, limit: Any = 0.5) -> Any:
    outside = c.op("Greater", c.op("Abs", x), c.number("limit", limit, "float32"))
    return c.op("Where", outside, x, c.number("zero", 0, "float32"))


@rule("threshold")
def threshold(c: Context, out: Any, x: Any, limit: Any, value: Any) -> Any:
    above = c.op("Greater", x, c.number("limit", limit, "float32"))
    return c.op("Where", above, x, c.number("value", value, "float32"))
