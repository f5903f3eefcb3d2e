"""What every rule is written with: the registry, the context, the refusal."""

from collections.abc import Callable
from typing import Any, Protocol

import onnx_ir as ir

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
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
    """Register the decorated function for these operators (in-place forms included)."""

    def decorate(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
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
