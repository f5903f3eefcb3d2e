"""What every rule is written with: the registry, the context, the refusal."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import onnx_ir as ir

Rule = Callable[..., Any]
_RULES: dict[str, Rule] = {}
RULES: Mapping[str, Rule] = MappingProxyType(_RULES)
"""ATen operator -> its rule."""
TAKES_INDICES = {"index_select", "index"}
"""Operators whose constants may be integers: all others compute with float32 and nothing else."""
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


def ints(values: Any, rank: int = 2) -> list[int]:
    """An int or a list of one as `rank` ints."""
    listed = [int(v) for v in values] if isinstance(values, list | tuple) else [int(values)]
    return listed * rank if len(listed) == 1 else listed
