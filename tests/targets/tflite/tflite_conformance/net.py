"""A tiny ONNX graph, written line by line, with values to feed it."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
Feeds = dict[str, NDArray[np.float32]]


class Net:
    """Builds a float graph of opset 21; every random number comes from one fixed seed."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(7)
        self.feeds: Feeds = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._declared: list[onnx.ValueInfoProto] = []

    def input(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        """A graph input; of rank 4, it lies channels-last in the file."""
        name = f"in{len(self._inputs)}"
        self.feeds[name] = self.random.uniform(low, high, shape).astype(np.float32)
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def plain(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        """An activation of any rank that lies in ONNX order."""
        return self.reshape(self.input(1, int(np.prod(shape)), low=low, high=high), *shape)

    def constant(self, values: Any, dtype: str = "float32") -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, "int64")

    def weights(self, *shape: int) -> str:
        """Random weights whose products keep the input's magnitude."""
        fan_in = max(int(np.prod(shape[1:])), 1)
        return self.constant(self.random.normal(0, fan_in**-0.5, shape))

    def op(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.split(op, 1, *inputs, **attributes)[0]

    def split(self, op: str, outputs: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """An operator with several outputs."""
        name = f"{op.lower()}{len(self._nodes)}"
        names = tuple(f"{name}.{index}" for index in range(outputs))
        self._nodes.append(helper.make_node(op, list(inputs), list(names), name=name, **attributes))
        return names

    def declare(self, value: str, *shape: int) -> str:
        """Say the shape of a value that ONNX's inference has no rule for; it must not be an output."""
        self._declared.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, shape))
        return value

    def reshape(self, source: str, *shape: int) -> str:
        return self.op("Reshape", source, self.integers(*shape))

    def conv(self, source: str, channels_in: int, channels_out: int, kernel: int = 1, **attributes: Any) -> str:
        """Conv with a bias; `pads` keep the size at stride 1 unless given."""
        group = attributes.get("group", 1)
        attributes = {"pads": [kernel // 2] * 4, **attributes}
        weights = self.weights(channels_out, channels_in // group, kernel, kernel)
        return self.op("Conv", source, weights, self.weights(channels_out), **attributes)

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The checked model with a shape on every value."""
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self._nodes, "net", self._inputs, results, self._constants, value_info=self._declared)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred)
        return inferred
