"""Collects an ONNX graph, one ATen call at a time."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from edgekit.graph.constants import new_initializer
from edgekit.graph.module_path import MODULE_KEY
from edgekit.trace.aten import DTYPES, RULES, Untraceable
from edgekit.trace.outputs import name_outputs

OPSET = 21
OWN_NAMES = re.compile(r"input|output(_\d+)?")


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
        self._taken: set[str] = set()

    def enter(self, operator: str, module: str) -> None:
        """What is written from now on belongs to a call of `operator` in the module of that path."""
        calls = self._calls[operator] = self._calls.get(operator, -1) + 1
        self._module, self._name, self._count = module, f"{operator}_{calls}" if calls else operator, 0

    def lower(self, operator: str, result: Any, arguments: Sequence[Any]) -> Sequence[ir.Value | None]:
        """Write one ATen call.

        Args:
            operator: a key of RULES.
            result: what it gave, a tensor or several.
            arguments: by position, tensors as values.

        Returns:
            A value per tensor of the result; None for one that no graph has, such as the indices of a max pool.

        Raises:
            Untraceable: the rule does not cover this use, or it gives nothing, or a type that the graph does not have.
        """
        tensors = listed(result)
        values = listed(RULES[operator](self, result, *arguments))
        for value, tensor in zip(values, tensors, strict=False):
            if not isinstance(tensor, torch.Tensor) or tensor.dtype not in DTYPES or not tensor.numel():
                raise Untraceable(f"{operator} gives {getattr(tensor, 'dtype', type(tensor).__name__)}, or nothing")
            if value is not None:
                value.shape, value.dtype = ir.Shape(list(tensor.shape)), DTYPES[tensor.dtype]
        return [*values, *[None] * (len(tensors) - len(values))]

    # -- what rules use: edgekit.trace.aten.Context ------------------------------------------------------------------

    def op(self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any) -> Any:
        suffix = f".{self._count}" if self._count else ""  # a dot: no ATen name has one, `silu_1` is the second silu
        self._count += 1
        node = ir.Node(
            "",
            op_type,
            inputs,
            [attribute_of(name, value) for name, value in attributes.items() if value is not None],
            num_outputs=outputs,
            name=f"node_{self._name}{suffix}",
            metadata_props={MODULE_KEY: self._module},
        )
        for index, value in enumerate(node.outputs):
            value.name = self._free(f"{self._name}{suffix}" + (f"_{index}" if outputs > 1 else ""))
        self._graph.append(node)
        return node.outputs[0] if outputs == 1 else list(node.outputs)

    def constant(self, name: str, array: np.ndarray[Any, Any]) -> ir.Value:
        return new_initializer(self._graph, self._free(name), array)

    def number(self, label: str, array: Any, dtype: str) -> ir.Value:
        return self.constant(f"{self._name}_{label}", np.asarray(array, dtype))

    def _free(self, name: str) -> str:
        """`name`, numbered where a value or a constant has it already, or the input or an output will."""
        unique, number = name, 0
        while unique in self._taken or OWN_NAMES.fullmatch(unique):
            number += 1
            unique = f"{name}.{number}"
        self._taken.add(unique)
        return unique

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, results: Mapping[str, ir.Value]) -> ir.Model:
        """Name the outputs, drop what nothing reads."""
        for index, value in enumerate(results.values()):
            if value.producer() is None or value in self._graph.outputs:  # an input handed through, or one result twice
                self._module, self._name, self._count = "", f"result_{index}", 0
                shape, dtype = value.shape, value.dtype
                value = self.op("Identity", value)
                value.shape, value.dtype = shape, dtype
            self._graph.outputs.append(value)
        name_outputs(self._graph, list(results))
        for node in reversed(list(self._graph)):
            unread = [value for value in node.outputs if not value.uses() and not value.is_graph_output()]
            if len(unread) == len(node.outputs):
                self._graph.remove(node, safe=True)
            elif node.outputs[-1] in unread and node.op_type == "MaxPool":
                node.resize_outputs(1)
        for name, value in self._graph.initializers.copy().items():
            if not value.uses():
                del self._graph.initializers[name]
        return ir.Model(self._graph, ir_version=10, producer_name="edgekit")


def attribute_of(name: str, value: Any) -> ir.Attr:
    """What ir.node() makes of an attribute; it asks twelve protocols what the value is, half the time of a trace."""
    if isinstance(value, str):
        return ir.AttrString(name, value)
    if isinstance(value, float):
        return ir.AttrFloat32(name, value)
    if isinstance(value, int):
        return ir.AttrInt64(name, value)
    if isinstance(value, list | tuple) and value and all(isinstance(number, int) for number in value):
        return ir.AttrInt64s(name, value)
    [attribute] = ir.convenience.convert_attributes({name: value})
    return attribute


def listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def same_graph(first: ir.Model, second: ir.Model) -> bool:
    """Whether two graphs have the same nodes, names and constants."""
    if [value.name for value in first.graph.outputs] != [value.name for value in second.graph.outputs]:
        return False
    if list(map(_signature, first.graph)) != list(map(_signature, second.graph)):
        return False
    ours, theirs = map(_arrays, (first, second))
    return ours.keys() == theirs.keys() and all(_same_array(array, theirs[name]) for name, array in ours.items())


def _arrays(model: ir.Model) -> dict[str, np.ndarray[Any, Any]]:
    constants = ((name, value.const_value) for name, value in model.graph.initializers.items())
    return {name: tensor.numpy() for name, tensor in constants if tensor is not None}


def _signature(node: ir.Node) -> tuple[Any, ...]:
    names = [value and value.name for value in node.inputs], [value.name for value in node.outputs]
    return node.op_type, *names, {name: attribute.value for name, attribute in node.attributes.items()}


def _same_array(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.ctypes.data == second.ctypes.data and first.strides == second.strides:
        return True  # a parameter, which both graphs share: no need to read it
    return np.array_equal(first, second, equal_nan=True)
