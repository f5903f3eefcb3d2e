"""The record a lowering rule is: what it takes, what it writes, when it may not, and when the delegate refuses it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.registry import Registry
from edgekit.targets.tflite.graph import Node

if TYPE_CHECKING:
    from edgekit.targets.tflite.emitter import Emitter

Lower = Callable[["Emitter", Node], None]
Reason = Callable[[Node], str | None]


def always(node: Node) -> str | None:
    """No reason against it."""
    return None


@dataclass(frozen=True, slots=True)
class Lowering:
    """How one ONNX operator becomes TFLite operators.

    Args:
        op: ONNX operator.
        builtins: TFLite operators it may write (versions: builtins.BUILTINS).
        lower: writes them.
        integer: activation dtypes other than float32 with a kernel ("int8", "int16").
        same_quant: the integer kernels assume that inputs and outputs share scale and zero point.
        joins: of such a rule: several values meet, and take the output's parameters before they do.
        stays_float: why a node has no integer kernel although its operator has, or None.
        slow_int8: why a node is better off in float than in int8 although it has that kernel, or None.
        legal: why a node cannot be lowered, or None.
        delegate: why XNNPACK refuses a node that is legal, or None.
    """

    op: str
    builtins: tuple[str, ...]
    lower: Lower
    integer: frozenset[str] = frozenset()
    same_quant: bool = False
    joins: bool = False
    stays_float: Reason = always
    slow_int8: Reason = always
    legal: Reason = always
    delegate: Reason = always


lowerings: Registry[Lowering] = Registry("lowering", "edgekit.targets.tflite.lowerings")


def lowering(
    op: str,
    builtins: Iterable[str],
    *,
    integer: Iterable[str] = (),
    same_quant: bool = False,
    joins: bool = False,
    stays_float: Reason = always,
    slow_int8: Reason = always,
    legal: Reason = always,
    delegate: Reason = always,
) -> Callable[[Lower], Lower]:
    """Register the decorated function as the lowering of `op`."""

    def decorate(lower: Lower) -> Lower:
        dtypes = frozenset(integer)
        rule = Lowering(op, tuple(builtins), lower, dtypes, same_quant, joins, stays_float, slow_int8, legal, delegate)
        lowerings.add(op, rule, lower.__module__)
        return lower

    return decorate


INT8 = ("int8",)
INTEGERS = ("int8", "int16")
