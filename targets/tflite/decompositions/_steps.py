"""Writing the nodes that stand for one: values in, a value out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import ArrayLike

from edgekit.passes.rewrite import constant, graph_of, new_constant, remove_unused

LAST = int(np.iinfo(np.int64).max)


class Steps:
    """The nodes that stand for `node`, in its place; they belong to its module."""

    def __init__(self, node: ir.Node) -> None:
        self._node, self._graph = node, graph_of(node)
        self._nodes: list[ir.Node] = []

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        return self.ops(op_type, 1, *inputs, **attributes)[0]

    def ops(self, op_type: str, outputs: int, *inputs: ir.Value | None, **attributes: Any) -> Sequence[ir.Value]:
        """A node with several results."""
        name = f"{self._node.name}.{len(self._nodes)}"
        metadata = dict(self._node.metadata_props)
        node = ir.node(op_type, inputs, attributes, num_outputs=outputs, name=name, metadata_props=metadata)
        for index, value in enumerate(node.outputs):
            value.name = f"{self._node.outputs[0].name}.{len(self._nodes)}.{index}"
            value.type = ir.TensorType(ir.DataType.FLOAT)
        self._nodes.append(node)
        return node.outputs

    def constant(self, values: ArrayLike, dtype: str = "float32") -> ir.Value:
        return new_constant(self._graph, f"{self._node.name}.constant", np.asarray(values, dtype))

    def reshape(self, value: ir.Value, *shape: int) -> ir.Value:
        array = constant(value)
        if array is not None:
            return self.constant(array.reshape(shape), array.dtype.name)
        return self.op("Reshape", value, self.constant(shape, "int64"))

    def cut(self, value: ir.Value, axis: int, start: int, stop: int = LAST, step: int = 1) -> ir.Value:
        bounds = (self.constant([number], "int64") for number in (start, stop, axis, step))
        return self.op("Slice", value, *bounds)

    def replace(self, *results: ir.Value | None) -> bool:
        """Let what read the node's results read these; None for one that nothing reads. True, for the caller."""
        self._graph.insert_before(self._node, self._nodes)
        for old, new in zip(self._node.outputs, results, strict=False):
            if new is not None:
                new.shape, new.type = old.shape, old.type
                if old.is_graph_output():
                    old_name, old.name = old.name, f"{old.name}.replaced"
                    new.name = old_name
                old.replace_all_uses_with(new, replace_graph_outputs=True)
        remove_unused(self._node)
        return True
