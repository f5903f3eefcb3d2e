"""What every rule is written with: the registry, the context, the refusal."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import onnx_ir as ir
import torch

Rule = Callable[..., Any]
_RULES: dict[str, Rule] = {}
RULES: Mapping[str, Rule] = MappingProxyType(_RULES)
"""ATen operator -> its rule."""
OWN_TYPES = {
    *("index_select", "index", "index_put", "gather", "where", "masked_fill", "embedding", "copy", "_to_copy"),
    *("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu", "max_unpool2d"),
}
"""Operators whose constants may be integers or booleans where the result is float32; of all others they are numbers."""
DTYPES = {
    torch.float32: ir.DataType.FLOAT,
    torch.int64: ir.DataType.INT64,
    torch.int32: ir.DataType.INT64,
    torch.bool: ir.DataType.BOOL,
}
"""Types of values, and as what the graph has them."""
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
    """Register the decorated function for these operators (in-place forms included).

    Raises:
        ValueError: an operator has a rule already; it names the modules of both.
    """

    def decorate(function: Rule) -> Rule:
        for name in names:
            if name in _RULES:
                owners = f"{_RULES[name].__module__} and by {function.__module__}"
                raise ValueError(f"the rule of aten operator {name!r} is registered by {owners}")
            _RULES[name] = function
        return function

    return decorate


def require(covered: bool) -> None:
    """Refuse a use of an operator unless its rule covers it.

    Raises:
        Untraceable: it does not.
    """
    if not covered:
        raise Untraceable(UNCOVERED)


def is_value(operand: Any) -> bool:
    return isinstance(operand, ir.Value)


def cast(c: Context, value: Any, dtype: ir.DataType) -> Any:
    """A value as another type: itself where it is that already."""
    if value.dtype == dtype:
        return value
    found = c.op("Cast", value, to=int(dtype))
    found.shape, found.dtype = value.shape, dtype
    return found


def operand(c: Context, value: Any, label: str, dtype: ir.DataType = ir.DataType.FLOAT) -> Any:
    """A tensor or a number as a value of that type."""
    return cast(c, value, dtype) if is_value(value) else c.number(label, value, NAMES[dtype])


NAMES = {ir.DataType.FLOAT: "float32", ir.DataType.INT64: "int64", ir.DataType.BOOL: "bool"}


def ints(values: Any, rank: int = 2) -> list[int]:
    """An int or a list of one as `rank` ints."""
    listed = [int(v) for v in values] if isinstance(values, list | tuple) else [int(values)]
    return listed * rank if len(listed) == 1 else listed
