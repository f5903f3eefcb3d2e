"""ExportedProgram -> ONNX, written directly: PyTorch's exporter takes 40 times as long for the same graph.

Rules for the ATen operators of vision models stand in `aten.py`. A program with any other operator, or with an in-place
operator whose old value is still read, is left to PyTorch's exporter as a whole.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.trace.aten import RULES, Context

MODULE_KEY = "edgekit.module"
OPSET = 21
DTYPES = {
    torch.float32: ir.DataType.FLOAT,
    torch.float16: ir.DataType.FLOAT16,
    torch.int64: ir.DataType.INT64,
    torch.bool: ir.DataType.BOOL,
}
# They return a view of their input, so writing to the result would change the input too.
VIEWS = frozenset(
    {"view", "reshape", "flatten", "permute", "transpose", "slice", "select", "unsqueeze", "squeeze", "chunk", "split"}
    | {"split_with_sizes", "expand", "detach", "alias", "t", "contiguous", "unbind", "narrow", "unflatten"}
)


def lower(program: ExportedProgram) -> ir.Model | None:
    """The float graph of `program`, or None where an operator has no rule here."""
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    if not all(_is_known(node) and _is_safe(node) and _has_static_type(node) for node in calls):
        return None
    context = _Writer(program)
    try:
        for node in program.graph.nodes:
            if node.op == "call_function":
                context.lower(node)
    except Unsupported:
        return None
    return context.finish()


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


class Unsupported(Exception):
    """An operator is used in a way that its rule does not cover."""


def operator_name(node: fx.Node) -> tuple[str, bool]:
    """("relu", True) for aten.relu_.default: the name without overload, and whether it writes to its input."""
    packet = getattr(node.target, "overloadpacket", None)
    name = str(packet).removeprefix("aten.") if packet is not None else getattr(node.target, "__name__", "")
    return name.rstrip("_") if not name.startswith("_") else name, name.endswith("_")


def _is_known(node: fx.Node) -> bool:
    return operator_name(node)[0] in RULES


def _has_static_type(node: fx.Node) -> bool:
    results = _listed(node.meta["val"])
    tensors = all(isinstance(fake, torch.Tensor) and fake.dtype in DTYPES for fake in results)
    return tensors and all(isinstance(size, int) for fake in results for size in fake.shape)


def _is_safe(node: fx.Node) -> bool:
    """Whether an in-place operator may be written as one that returns a new value: nothing reads the old one later."""
    if not operator_name(node)[1]:
        return True
    source = node.args[0]
    if not isinstance(source, fx.Node) or source.op != "call_function" or _is_view(source):
        return False
    return not any(user is not node and (user > node or _is_view(user)) for user in source.users)


def _is_view(node: fx.Node) -> bool:
    return operator_name(node)[0] in VIEWS


class _Writer(Context):
    """Collects the ONNX graph node by node."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._values: dict[str, Any] = {}
        self._graph = ir.Graph([], [], nodes=[], name="main_graph", opset_imports={"": OPSET})
        self._module, self._name, self._count = "", "", 0
        self._read_inputs()

    def _read_inputs(self) -> None:
        state = {**program_state(self._program)}
        placeholders = {node.name: node for node in self._program.graph.nodes if node.op == "placeholder"}
        for spec in self._program.graph_signature.input_specs:
            name = spec.arg.name
            if spec.kind == InputKind.USER_INPUT:
                shape = placeholders[name].meta["val"].shape
                value = ir.Value(name="input", shape=ir.Shape(list(shape)), type=ir.TensorType(ir.DataType.FLOAT))
                self._graph.inputs.append(value)
                self._values[name] = value
            elif spec.target is not None:
                self._values[name] = self.constant(spec.target, state[spec.target].detach().numpy())

    def lower(self, node: fx.Node) -> None:
        """Write one ATen call."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        self._module = str(stack[-1][0]) if stack else ""
        self._name, self._count = node.name, 0
        arguments = [self._argument(value) for value in self._normalized(node)]
        self._values[node.name] = result = RULES[operator_name(node)[0]](self, node.meta["val"], *arguments)
        for value, fake in zip(*map(_listed, (result, node.meta["val"])), strict=True):
            value.shape, value.dtype = ir.Shape(list(fake.shape)), DTYPES[fake.dtype]

    def _normalized(self, node: fx.Node) -> Sequence[Any]:
        """All arguments by position, defaults filled in."""
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            return node.args
        given = list(node.args)
        for argument in schema.arguments[len(given) :]:
            given.append(node.kwargs.get(argument.name, argument.default_value))
        return given

    def _argument(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return self._values[value.name]
        if isinstance(value, list | tuple):
            return [self._argument(item) for item in value]
        return value

    # -- Context -----------------------------------------------------------------------------------------------------

    def op(self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any) -> Any:
        suffix = f".{self._count}" if self._count else ""  # a dot: no ATen name has one, `silu__1` is the second silu_
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
        tensor = ir.tensor(np.asarray(array, order="C"), name=unique)
        value = ir.Value(name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def number(self, label: str, array: Any, dtype: str) -> ir.Value:
        return self.constant(f"{self._name}_{label}", np.asarray(array, dtype))

    def refuse(self) -> Unsupported:
        return Unsupported()

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self) -> ir.Model:
        """Name the outputs, drop what nothing reads."""
        results = [self._values[spec.arg.name] for spec in self._program.graph_signature.output_specs]
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


def program_state(program: ExportedProgram) -> dict[str, torch.Tensor]:
    """Parameters, buffers (persistent or not) and lifted constants by name."""
    constants = {name: value for name, value in program.constants.items() if isinstance(value, torch.Tensor)}
    return {**program.state_dict, **constants}
