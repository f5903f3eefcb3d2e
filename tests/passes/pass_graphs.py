"""Tiny ONNX graphs for the passes, and what must hold of each pass whatever it does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgekit.graph.module_path import MODULE_KEY

OPSET = 21
IR_VERSION = 10


class Graph:
    """A float graph, written line by line; every random number comes from one seed."""

    def __init__(self, seed: int = 3) -> None:
        self.random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, *shape: int | str, dtype: int = TensorProto.FLOAT) -> str:
        name = f"in{len(self._inputs)}"
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, values: Any, dtype: str = "float32") -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, "int64")

    def weights(self, *shape: int) -> str:
        """Random weights whose products keep the input's magnitude."""
        return self.constant(self.random.normal(0, max(int(np.prod(shape[1:])), 1) ** -0.5, shape))

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        return self.several(op_type, 1, *inputs, **attributes)[0]

    def several(self, op_type: str, outputs: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """An operator with several outputs."""
        name = f"{op_type.lower()}{len(self._nodes)}"
        results = tuple(f"{name}.{index}" for index in range(outputs))
        node = helper.make_node(op_type, list(inputs), list(results), name=name, **attributes)
        node.metadata_props.add(key=MODULE_KEY, value=f"layers.{len(self._nodes)}")
        self._nodes.append(node)
        return results

    def conv(self, source: str, into: int, out: int, kernel: int = 1, *, bias: bool = True, **attributes: Any) -> str:
        weights = self.weights(out, into // attributes.get("group", 1), kernel, kernel)
        operands = (source, weights, self.weights(out)) if bias else (source, weights)
        return self.op("Conv", *operands, **attributes)

    def batch_norm(self, source: str, channels: int, **attributes: Any) -> str:
        gamma, mean = self.random.uniform(0.5, 1.5, channels), self.random.normal(0, 0.3, channels)
        beta, variance = self.random.normal(0, 0.3, channels), self.random.uniform(0.2, 2.0, channels)
        return self.op("BatchNormalization", source, *map(self.constant, (gamma, beta, mean, variance)), **attributes)

    def proto(self, *outputs: str, opset: int = OPSET) -> onnx.ModelProto:
        """The model as a file holds it, without inferred shapes."""
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self._nodes, "net", self._inputs, results, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)

    def model(self, *outputs: str, opset: int = OPSET) -> ir.Model:
        """The model with a shape and a type on every value."""
        inferred = onnx.shape_inference.infer_shapes(self.proto(*outputs, opset=opset), data_prop=True)
        onnx.checker.check_model(inferred)
        return ir.from_proto(inferred)


def feeds_of(model: ir.Model, seed: int = 11) -> dict[str, np.ndarray]:
    """One random array per input, wide enough to meet both ends of every clamp."""
    random = np.random.default_rng(seed)
    return {
        str(value.name): random.normal(0, 3, tuple(value.shape)).astype(value.dtype.numpy())
        for value in model.graph.inputs
    }


def run(model: ir.Model, feeds: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Outputs by name, from ONNX Runtime without any optimization of its own."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(serialized(model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds or feeds_of(model)), strict=True))


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 1e-5) -> None:
    """Same names, shapes and types, and values within `tolerance` of the largest one."""
    assert list(actual) == list(expected)
    for name, wanted in expected.items():
        assert actual[name].dtype == wanted.dtype, name
        assert actual[name].shape == wanted.shape, name
        bound = tolerance * max(1.0, float(np.abs(wanted).max(initial=0)))
        np.testing.assert_allclose(actual[name], wanted, rtol=0, atol=bound, err_msg=name)


def applied(each: Callable[[ir.Model], bool], model: ir.Model) -> ir.Model:
    """The model after a pass that must change it: valid, with the same outputs, and left alone by a second run."""
    expected = run(model)
    assert each(model), "the pass changed nothing"
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert_same(run(model), expected)
    assert all(MODULE_KEY in node.metadata_props for node in model.graph), "a node lost its module"
    assert_left_alone(each, model)
    return model


def assert_left_alone(each: Callable[[ir.Model], bool], model: ir.Model) -> None:
    """The pass says that it changed nothing, and did not."""
    before = serialized(model)
    assert not each(model), "the pass changed something"
    assert serialized(model) == before


def serialized(model: ir.Model) -> bytes:
    """Everything that a file would hold, initializers by name."""
    proto = ir.to_proto(model)
    for unordered in (proto.graph.initializer, proto.graph.value_info):
        unordered.sort(key=lambda each: each.name)
    return bytes(proto.SerializeToString(deterministic=True))


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def node_of(model: ir.Model, op_type: str) -> ir.Node:
    """The only node of a type."""
    [node] = [node for node in model.graph if node.op_type == op_type]
    return node


def attributes_of(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items()}


def array_of(value: ir.Value | None) -> np.ndarray:
    """The array of an initializer."""
    return value.const_value.numpy()
