"""The graph as the TFLite writer sees it: plain nodes and tensors in ONNX axis order, read from onnx_ir.

It is a view for lowering, not a second IR to write passes on: quantization sits on the tensor (TFLite's form) instead
of in Q/DQ nodes (ONNX's form), and an activation may sit on the node that it clamps.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.graph.module_path import path_of


@dataclass(frozen=True, slots=True)
class Quant:
    """real = scale * (stored - zero_point).

    Args:
        scale: f32[1] per tensor, f32[C] per channel.
        zero_point: i64, of scale's shape.
        axis: the channel axis in ONNX order; None per tensor.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int | None = None

    def same_as(self, other: "Quant | None") -> bool:
        return (
            other is not None
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(slots=True, eq=False)
class Tensor:
    """A value. `data` holds constants in ONNX axis order, as stored integers where `quant` is set."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: Quant | None = None
    data: NDArray[Any] | None = None

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    def numbers(self) -> NDArray[Any]:
        """The constant's real values (dequantized)."""
        assert self.data is not None
        if self.quant is None:
            return self.data
        return dequantize(self.data, self.quant)


@dataclass(slots=True, eq=False)
class Node:
    """One operator. `clamp` is the range of a fused Relu or Clip, in real numbers."""

    op: str
    name: str
    module: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    attrs: dict[str, Any] = field(default_factory=dict)
    clamp: tuple[float, float] | None = None

    @property
    def output(self) -> Tensor:
        return self.outputs[0]

    def input(self, index: int) -> Tensor:
        tensor = self.inputs[index]
        assert tensor is not None, f"{self.name} has no input {index}"
        return tensor

    def optional(self, index: int) -> Tensor | None:
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def is_integer(self) -> bool:
        """Whether this node runs on quantized tensors."""
        return self.output.quant is not None and self.op != "QuantizeLinear"


@dataclass(slots=True)
class Graph:
    inputs: list[Tensor]
    outputs: list[Tensor]
    nodes: list[Node]

    def producers(self) -> dict[int, Node]:
        """id(tensor) -> the node that makes it."""
        return {id(out): node for node in self.nodes for out in node.outputs}

    def consumers(self) -> dict[int, list[Node]]:
        """id(tensor) -> the nodes that read it."""
        uses: dict[int, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for tensor in node.inputs:
                if tensor is not None:
                    uses[id(tensor)].append(node)
        return uses

    def eliminate_dead_nodes(self) -> None:
        live = {id(tensor) for tensor in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if any(id(out) in live for out in node.outputs):
                kept.append(node)
                live.update(id(tensor) for tensor in node.inputs if tensor is not None)
        self.nodes = kept[::-1]


def dequantize(data: NDArray[Any], quant: Quant) -> NDArray[np.float32]:
    """scale * (data - zero_point), f32 of data's shape."""
    shape = [1] * data.ndim
    if quant.axis is not None and data.ndim:
        shape[quant.axis] = -1
    scale, zero_point = quant.scale.reshape(shape), quant.zero_point.reshape(shape)
    real: NDArray[np.float32] = ((data.astype(np.int64) - zero_point) * scale).astype(np.float32).reshape(data.shape)
    return real


def read_graph(model: ir.Model) -> Graph:
    """The writer's view of a canonical ONNX graph (float or QDQ)."""
    tensors: dict[str, Tensor] = {}

    def tensor_of(value: ir.Value) -> Tensor:
        name = value.name or ""
        if name not in tensors:
            tensors[name] = _read_value(value)
        return tensors[name]

    inputs = [tensor_of(value) for value in model.graph.inputs if not value.is_initializer()]
    nodes = [
        Node(
            op=node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}:{node.op_type}",
            name=node.name or node.op_type,
            module=path_of(node),
            inputs=[None if value is None else tensor_of(value) for value in node.inputs],
            outputs=[tensor_of(value) for value in node.outputs],
            attrs={name: _attribute_value(attr) for name, attr in node.attributes.items()},
        )
        for node in model.graph
    ]
    return Graph(inputs, [tensor_of(value) for value in model.graph.outputs], nodes)


def _read_value(value: ir.Value) -> Tensor:
    constant = value.const_value
    if constant is not None:
        data = constant.numpy()
        return Tensor(value.name or "", tuple(data.shape), data.dtype.name, data=data)
    # Optional outputs that nobody names (MaxPool's indices) have neither shape nor type.
    unknown = (-1,) if value.name else ()
    shape = unknown if value.shape is None else tuple(dim if isinstance(dim, int) else -1 for dim in value.shape)
    dtype = value.dtype.numpy().name if value.dtype is not None else ""
    return Tensor(value.name or "", shape, dtype)


def _attribute_value(attr: ir.Attr) -> Any:
    return attr.value.numpy() if attr.type == ir.AttributeType.TENSOR else attr.value
