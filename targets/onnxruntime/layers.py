"""An .onnx file taken apart: where it can be cut, and the file that ends there.

A quantized graph is cut behind its QuantizeLinear nodes alone: what stands between two of them is one integer kernel.
"""

from collections.abc import Iterable

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgekit.target import Cut, TensorInfo
from edgekit.targets.onnxruntime.emit import quantization

QUANTIZE = "QuantizeLinear"


class OnnxLayers:
    """See edgekit.target.Layers."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        graph = ir.from_proto(onnx.load_model_from_string(data)).graph
        quantized = any(_is_activation_quantize(node) for node in graph)
        cuts: list[Cut] = []
        behind: dict[ir.Value, tuple[int, ...]] = {}  # value -> cuts that it is computed from, without one in between
        direct = set(graph.inputs)  # values that are computed from an input, without a cut in between
        for node in graph:
            read = [value for value in node.inputs if value is not None]
            sources = tuple(dict.fromkeys(index for value in read for index in behind.get(value, ())))
            reads_input = not direct.isdisjoint(read)
            if not sources and not reads_input:
                continue  # computes a constant
            for value in _used(node.outputs):
                gives_output = value.is_graph_output()
                if gives_output or not quantized or _is_activation_quantize(node):
                    behind[value] = (len(cuts),)
                    name, info = value.name or "", _info(value)
                    cuts.append(Cut(len(cuts), _operator(node), name, info, sources, reads_input, gives_output))
                    continue
                behind[value] = sources
                if reads_input:
                    direct.add(value)
        self.cuts = tuple(cuts)

    def until(self, cut: Cut) -> bytes:
        model = ir.from_proto(onnx.load_model_from_string(self._data))
        graph = model.graph
        value = next(output for node in graph for output in node.outputs if output.name == cut.tensor)
        if value.dtype is None:
            value.dtype = ir.DataType[cut.output.dtype.upper()]
        graph.outputs.clear()
        graph.outputs.append(value)
        RemoveUnusedNodesPass()(model)
        data: bytes = ir.to_proto(model).SerializeToString()
        return data


def layers(data: bytes) -> OnnxLayers:
    """A file taken apart."""
    return OnnxLayers(data)


def _is_activation_quantize(node: ir.Node) -> bool:
    source = node.inputs[0] if node.op_type == QUANTIZE else None
    return source is not None and source.const_value is None


def _used(values: Iterable[ir.Value]) -> list[ir.Value]:
    return [value for value in values if value.uses() or value.is_graph_output()]


def _operator(node: ir.Node) -> str:
    """The kind of the node, or of the one whose result is quantized here."""
    source = node.inputs[0] if node.op_type == QUANTIZE else None
    producer = source.producer() if source is not None else None
    return node.op_type if producer is None else producer.op_type


def _info(value: ir.Value) -> TensorInfo:
    scale, zero = _scale(value)
    dtype = value.dtype.name.lower() if value.dtype is not None else _dtype(value)
    known = () if value.shape is None else tuple(value.shape)
    shape = tuple(length for length in known if isinstance(length, int))
    return TensorInfo(value.name or "", shape, "float32" if dtype == "float" else dtype, "other", scale, zero)


def _scale(value: ir.Value) -> tuple[float | None, int | None]:
    producer = value.producer()
    if producer is None or producer.op_type != QUANTIZE:
        return quantization(value) if value.dtype is not None else (None, None)
    constants = [parameter.const_value for parameter in _present(producer.inputs[1:3])]
    if len(constants) != 2 or None in constants:
        return None, None
    scale, zero = (np.asarray(constant.numpy()) for constant in constants if constant is not None)
    return (float(scale.reshape(())), int(zero.reshape(()))) if scale.size == 1 else (None, None)


def _dtype(value: ir.Value) -> str:
    """Of a value whose type the file does not name: a zero point's, or float."""
    producer = value.producer()
    if producer is not None and producer.op_type == QUANTIZE:
        zero = next(iter(_present(producer.inputs[2:3])), None)
        return "uint8" if zero is None or zero.dtype is None else zero.dtype.name.lower()
    return "float"


def _present(values: Iterable[ir.Value | None]) -> list[ir.Value]:
    return [value for value in values if value is not None]
