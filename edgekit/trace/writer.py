"""Collects an ONNX graph, one ATen call at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from edgekit.trace.aten import RULES, Untraceable

MODULE_KEY = "edgekit.module"
OPSET = 21
DTYPES = {
    torch.float32: ir.DataType.FLOAT,
    torch.float16: ir.DataType.FLOAT16,
    torch.int64: ir.DataType.INT64,
    torch.bool: ir.DataType.BOOL,
}


class Writer:
    """The Context that the rules write with, and the graph that grows by it.

    Args:
        input_shape: of the only input, `input`.
    """

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.input = ir.Value(name="input", shape=ir.Shape(input_shape), type=ir.TensorType(ir.DataType.FLOAT))
        self._graph = ir.Graph([self.input], [], nodes=[], name="main_graph", opset_imports={"": OPSET})
        self._module, self._name, self._count = "", "", 0
        self._calls: dict[str, int] = {}

    def lower(self, operator: str, module: str, result: Any, arguments: Sequence[Any]) -> Sequence[ir.Value | None]:
        """Write one ATen call.

        Args:
            operator: a key of RULES.
            module: path of the module that calls.
            result: what it gave, a tensor or several.
            arguments: by position, tensors as values.

        Returns:
            A value per tensor of the result; None for one that no graph has, such as the indices of a max pool.

        Raises:
            Untraceable: the rule does not cover this use.
        """
        calls = self._calls[operator] = self._calls.get(operator, -1) + 1
        self._module, self._name, self._count = module, f"{operator}_{calls}" if calls else operator, 0
        tensors = listed(result)
        values = listed(RULES[operator](self, result, *arguments))
        for value, tensor in zip(values, tensors, strict=False):
            if not isinstance(tensor, torch.Tensor) or tensor.dtype not in DTYPES:
                raise Untraceable(f"{operator} gives {getattr(tensor, 'dtype', type(tensor).__name__)}")
            value.shape, value.dtype = ir.Shape(list(tensor.shape)), DTYPES[tensor.dtype]
        return [*values, *[None] * (len(tensors) - len(values))]

    # -- what rules use: edgekit.trace.aten.Context ------------------------------------------------------------------

    def op(self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any) -> Any:
        suffix = f".{self._count}" if self._count else ""  # a dot: no ATen name has one, `silu_1` is the second silu
        self._count += 1
        node = ir.node(
            op_type,
            inputs,
            attributes or None,
            num_outputs=outputs,
            name=f"node_{self._name}{suffix}",
            metadata_props={MODULE_KEY: self._module},
        )
        for index, value in enumerate(node.outputs):
            value.name = f"{self._name}{suffix}" + (f"_{index}" if outputs > 1 else "")
        self._graph.append(node)
        return node.outputs[0] if outputs == 1 else list(node.outputs)

    def constant(self, name: str, array: np.ndarray[Any, Any]) -> ir.Value:
        unique, number = name, 0
        while unique in self._graph.initializers:
            number += 1
            unique = f"{name}_{number}"
        tensor = ir.Tensor(np.asarray(array, order="C"), name=unique)
        value = ir.Value(name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def number(self, label: str, array: Any, dtype: str) -> ir.Value:
        return self.constant(f"{self._name}_{label}", np.asarray(array, dtype))

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, results: Sequence[ir.Value]) -> ir.Model:
        """Name the outputs, drop what nothing reads."""
        for index, value in enumerate(results):
            if value.producer() is None or value in self._graph.outputs:  # an input handed through, or one result twice
                self._module, self._name, self._count = "", f"result_{index}", 0
                shape, dtype = value.shape, value.dtype
                value = self.op("Identity", value)
                value.shape, value.dtype = shape, dtype
            value.name = "output" if len(results) == 1 else f"output_{index}"
            self._graph.outputs.append(value)
        for name, value in self._graph.initializers.copy().items():
            if not value.uses():
                del self._graph.initializers[name]
        return ir.Model(self._graph, ir_version=10, producer_name="edgekit")


def listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]
