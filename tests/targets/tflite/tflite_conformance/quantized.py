"""A float graph as a QDQ graph: written from the contract in plain onnx, it shares no code with edgekit.quant."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tflite_conformance.net import Feeds
from tflite_conformance.reference import run_onnx

SAME = {
    *("Reshape", "Transpose", "MaxPool", "AveragePool", "Pad", "Slice", "Split", "Gather", "Flatten", "Squeeze"),
    *("Unsqueeze", "Identity", "Resize", "Concat", "Min", "Max", "DepthToSpace", "GlobalMaxPool", "ReduceMax"),
    *("ReduceMin", "Expand"),
}
FIXED = {"Softmax": (0.0, 1.0), "Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
LINEAR = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": 1}
CLAMPABLE = {"Conv", "Gemm", "MatMul", "Add", "Sub", "Mul", "ConvTranspose"}
NOT_DATA = {"Clip": 1, "Pad": 1, "Resize": 1, "Reshape": 1, "Slice": 1, "Gather": 1, "Split": 1, "ReduceMean": 1}


@dataclass(frozen=True, slots=True)
class Parameters:
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    dtype: str
    axis: int | None = None


def to_qdq(model: onnx.ModelProto, feeds: Feeds, dtype: str, rescale: bool = False) -> onnx.ModelProto:
    """The QDQ form of `model` with activations of `dtype`, calibrated on `feeds` alone."""
    return _Quantizer(model, feeds, dtype, rescale).run()


class _Quantizer:
    def __init__(self, model: onnx.ModelProto, feeds: Feeds, dtype: str, rescale: bool) -> None:
        self.graph, self.dtype = model.graph, dtype
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.values = {**feeds, **run_onnx(model, feeds, every_value=True)}
        self.uses = Counter(name for node in self.graph.node for name in node.input)
        self.parameters = self._activations(rescale)
        self.nodes: list[onnx.NodeProto] = []
        self.copies: Counter[str] = Counter()
        self.initializers = {name: numpy_helper.from_array(data, name) for name, data in self.constants.items()}

    def run(self) -> onnx.ModelProto:
        for value in self.graph.input:
            self._quantize(value.name)
        for node in self.graph.node:
            inputs = [self._operand(node, index, name) for index, name in enumerate(node.input)]
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(inputs)
            self.nodes.append(copy)
            for name in node.output:
                self._quantize(name)
        results = [onnx.ValueInfoProto(name=self._real(value.name)) for value in self.graph.output]
        graph = helper.make_graph(self.nodes, "qdq", self.graph.input, results, list(self.initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)

    # -- parameters --------------------------------------------------------------------------------------------------

    def _activations(self, rescale: bool) -> dict[str, Parameters]:
        ranges = {name: (float(v.min()), float(v.max())) for name, v in self.values.items() if v.dtype == np.float32}
        fused = self._fused()
        for node in self.graph.node:
            if node.op_type in FIXED:
                ranges[node.output[0]] = FIXED[node.op_type]
        if rescale:
            for node in self.graph.node:
                for position, name in enumerate(node.output):
                    ranges[name] = (1.25 * ranges[name][0] - 0.1 * position, 1.5 * ranges[name][1] + 0.1)
        else:
            ranges = self._shared(ranges)
        fixed = {node.output[0] for node in self.graph.node if node.op_type in FIXED and not rescale}
        return {
            name: _parameters(*bounds, self.dtype, widen=name in fixed)
            for name, bounds in ranges.items()
            if name not in fused
        }

    def _shared(self, ranges: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """One range for every group of values that the kernels only copy."""
        group = {name: {name} for name in ranges}
        for node in self.graph.node:
            if node.op_type not in SAME:
                continue
            names = [name for name in (*node.input, *node.output) if name in ranges]
            merged = set().union(*(group[name] for name in names))
            group.update(dict.fromkeys(merged, merged))
        return {
            name: (min(ranges[other][0] for other in members), max(ranges[other][1] for other in members))
            for name, members in group.items()
        }

    def _fused(self) -> set[str]:
        """Outputs that a Relu or Clip behind them clamps: those are quantized after the clamp."""
        producer = {name: node.op_type for node in self.graph.node for name in node.output}
        clamped = [node.input[0] for node in self.graph.node if node.op_type in ("Relu", "Clip")]
        results = {value.name for value in self.graph.output}
        return {
            name for name in clamped if producer.get(name) in CLAMPABLE and self.uses[name] == 1 and name not in results
        }

    # -- writing -----------------------------------------------------------------------------------------------------

    def _operand(self, node: onnx.NodeProto, index: int, name: str) -> str:
        if name not in self.constants:
            return self._real(name) if name else name
        data = self.constants[name]
        if data.dtype != np.float32 or index >= NOT_DATA.get(node.op_type, len(node.input)):
            return name
        linear = node.op_type in LINEAR
        if linear and index == 1 and data.ndim != 3:
            return self._constant(name, data, _symmetric(data, _channel_axis(node)))
        if linear and index == 2:
            weights = _symmetric(self.constants[node.input[1]], _channel_axis(node))
            scale = self.parameters[node.input[0]].scale * weights.scale
            return self._constant(name, data, Parameters(scale, np.zeros(scale.shape, np.int64), "int32", 0))
        if data.size and np.isfinite(data).all():
            return self._constant(name, data, _parameters(float(data.min()), float(data.max()), self.dtype))
        return name

    def _constant(self, name: str, data: NDArray[np.float32], parameters: Parameters) -> str:
        self.copies[name] += 1
        name = f"{name}/{self.copies[name]}"  # a constant may be read twice, a bias with two scales
        shape = [1] * data.ndim
        if parameters.axis is not None:
            shape[parameters.axis] = -1
        scale, zero = parameters.scale.reshape(shape or -1), parameters.zero_point.reshape(shape or -1)
        limits = np.iinfo(parameters.dtype)
        stored = np.clip(np.rint(data / scale) + zero, limits.min, limits.max).reshape(data.shape)
        self.initializers[f"{name}.q"] = numpy_helper.from_array(stored.astype(parameters.dtype), f"{name}.q")
        return self._node("DequantizeLinear", f"{name}.q", name, f"{name}.dq", parameters)

    def _quantize(self, name: str) -> None:
        if name in self.parameters:
            stored = self._node("QuantizeLinear", name, name, f"{name}.q", self.parameters[name])
            self._node("DequantizeLinear", stored, name, self._real(name), self.parameters[name])

    def _real(self, name: str) -> str:
        return f"{name}.dq" if name in self.parameters else name

    def _node(self, op: str, source: str, owner: str, output: str, parameters: Parameters) -> str:
        scale, zero = f"{owner}.scale", f"{owner}.zero"
        per_channel = parameters.axis is not None
        shape = (-1,) if per_channel else ()
        self.initializers[scale] = numpy_helper.from_array(parameters.scale.reshape(shape), scale)
        zeros = parameters.zero_point.astype(parameters.dtype).reshape(shape)
        self.initializers[zero] = numpy_helper.from_array(zeros, zero)
        axis = {"axis": parameters.axis} if per_channel else {}
        self.nodes.append(helper.make_node(op, [source, scale, zero], [output], name=f"{output}/{op}", **axis))
        return output


def _channel_axis(node: onnx.NodeProto) -> int:
    axis = LINEAR[node.op_type]
    return 1 - axis if node.op_type == "Gemm" and not _attribute(node, "transB") else axis


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)


def _parameters(low: float, high: float, dtype: str, widen: bool = False) -> Parameters:
    """Parameters of an activation; `widen`: the scales of kernels with a fixed output (1/256, 1/128, 1/32768)."""
    if dtype == "int16":
        peak = max(abs(low), abs(high), 1e-6)
        return Parameters(np.array([peak / (32768 if widen else 32767)], np.float32), np.zeros(1, np.int64), dtype)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max(high - low, 1e-6) / (256 if widen else 255))
    return Parameters(np.array([scale]), np.array([round(-128 - low / float(scale))]), dtype)


def _symmetric(data: NDArray[np.float32], axis: int) -> Parameters:
    peak = np.abs(data).max(axis=tuple(i for i in range(data.ndim) if i != axis))
    return Parameters((peak / 127).astype(np.float32), np.zeros(peak.shape, np.int64), "int8", axis)


def stored(values: Iterable[float], parameters: Parameters) -> NDArray[np.int64]:
    """Real values as the integers of `parameters`."""
    limits = np.iinfo(parameters.dtype)
    steps = np.rint(np.asarray(values) / parameters.scale) + parameters.zero_point
    return np.clip(steps, limits.min, limits.max).astype(np.int64)


__all__ = ["TensorProto", "to_qdq"]
