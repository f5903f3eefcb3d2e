"""Another order of the channels of one value: in the layers that write and read it, and all that lies between.

What acts on every channel alike computes the same in another order. From the value on, forwards and backwards, all
values that must change their order with it are found; the rows of the layers that write them and the columns of those
that read them are permuted.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.quant.equalize import GATES, PASSES, is_depthwise, is_layer
from edgekit.quant.operators import constant_of, is_constant

Ids = NDArray[np.int64]

ALIKE = PASSES | GATES | {"HardSwish", "Tanh", "Gelu"}
"""Operators of one operand that act on every channel alike."""


def reorder_channels(model: ir.Model, value: ir.Value, order: Ids) -> bool:
    """Permute the channels of a value in place: channel i is what channel order[i] was. The graph computes the same.

    Returns:
        False, with nothing changed, where something reads or writes the channels in a fixed order: a graph input or
        output, a Concat, a convolution in groups.
    """
    found = _Tied()
    if not found.follow(value):
        return False
    for node in found.rows:
        for index in (1, 2):
            _permute(node, index, order, axis=0)
    for node in found.columns:
        _permute(node, 1, order, axis=1)
    return True


@dataclass(slots=True)
class _Tied:
    """What changes with one value.

    Args:
        rows: layers whose outputs are permuted: their weights along axis 0, and their biases.
        columns: layers whose operands are: their weights along axis 1.
    """

    values: set[ir.Value] = field(default_factory=set)
    rows: dict[ir.Node, None] = field(default_factory=dict)
    columns: dict[ir.Node, None] = field(default_factory=dict)

    def follow(self, value: ir.Value) -> bool:
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if value in self.values or _is_vector_of_one(value):
                continue
            producer = value.producer()
            if producer is None or value.is_graph_output() or not self._visit(producer, value, waiting):
                return False
            self.values.add(value)
            if not all(self._visit(reader, value, waiting) for reader, _ in value.uses()):
                return False
        return True

    def _visit(self, node: ir.Node, value: ir.Value, waiting: list[ir.Value]) -> bool:
        """Whether the node can take or make the value in another order; what it ties to it waits."""
        if is_layer(node) and not is_depthwise(node):
            (self.rows if value is node.outputs[0] else self.columns)[node] = None
            return node.op_type == "Gemm" or node.attributes.get_int("group", 1) == 1
        if is_layer(node):
            self.rows[node] = None
            weight = node.inputs[1]
            assert weight is not None
            assert weight.shape is not None
            waiting += [v for v in (node.inputs[0], node.outputs[0]) if v is not None]
            return bool(weight.shape[0] == node.attributes.get_int("group", 1))
        operands = [v for v in node.inputs if v is not None and not is_constant(v)]
        constants = [v for v in node.inputs if v is not None and is_constant(v)]
        if node.op_type in ALIKE or (
            node.op_type in ("Mul", "Add", "Sub") and all(constant_of(v).size == 1 for v in constants)
        ):
            waiting += [*operands, *node.outputs]
            return True
        return False


def _is_vector_of_one(value: ir.Value) -> bool:
    return value.shape is not None and int(np.prod([s for s in value.shape if isinstance(s, int)])) == 1


def _permute(node: ir.Node, index: int, order: Ids, axis: int) -> None:
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is not None and value.const_value is not None:
        value.const_value = ir.Tensor(np.take(value.const_value.numpy(), order, axis=axis), name=value.name)
