"""A .tflite file taken apart: its operators, and the file that ends behind one of them."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.errors import EdgekitError
from edgekit.target import Cut, TensorInfo
from edgekit.targets.tflite.flatbuffer import TENSOR_TYPES, pack_model

_DTYPES = {number: name for name, number in TENSOR_TYPES.items()}
BUILTINS = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int) and name.isupper()
}


class TFLiteLayers:
    """See edgekit.target.Layers; of the main graph, where the values are that depend on the input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        model = _parse(data)
        graph = model.subgraphs[0]
        inputs, outputs = set(map(int, graph.inputs)), set(map(int, graph.outputs))
        read_somewhere = {int(tensor) for operator in graph.operators for tensor in operator.inputs}
        made_by: dict[int, int] = {}
        cuts: list[Cut] = []
        self._tensor_of: list[int] = []
        for operator in graph.operators:
            read = [int(tensor) for tensor in operator.inputs]
            sources = tuple(dict.fromkeys(made_by[tensor] for tensor in read if tensor in made_by))
            reads_input = any(tensor in inputs for tensor in read)
            if not sources and not reads_input:
                continue  # computes a constant
            kind = BUILTINS[model.operatorCodes[operator.opcodeIndex].builtinCode]
            for tensor in map(int, operator.outputs):
                if tensor not in read_somewhere | outputs:
                    continue
                made_by[tensor] = len(cuts)
                info = _tensor_info(graph.tensors[tensor])
                cuts.append(Cut(len(cuts), kind, info.name, info, sources, reads_input, tensor in outputs))
                self._tensor_of.append(tensor)
        self.cuts = tuple(cuts)

    def until(self, cut: Cut) -> bytes:
        model = _parse(self._data)
        graph = model.subgraphs[0]
        wanted = self._tensor_of[cut.index]
        graph.outputs = np.array([wanted], np.int32)
        graph.operators = _needed(graph.operators, wanted)
        used = {int(t) for operator in graph.operators for t in operator.inputs if t >= 0}
        for index, tensor in enumerate(graph.tensors):
            if index not in used and index != wanted:
                tensor.buffer = 0  # its data is not pushed to a device
        kept = {tensor.buffer for tensor in graph.tensors} | {entry.buffer for entry in model.metadata or ()}
        for index, buffer in enumerate(model.buffers):
            if index not in kept:
                buffer.data = None
        model.signatureDefs = None  # they name outputs that are gone
        return pack_model(model)


def layers(data: bytes) -> TFLiteLayers:
    """A file taken apart; EK204 for one with control flow."""
    return TFLiteLayers(data)


def _parse(data: bytes) -> Any:
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    if len(model.subgraphs) != 1:
        raise EdgekitError(
            "EK204", what="a file with several graphs cannot be cut", where="model.tflite", fix="leave --layerwise out"
        )
    return model


def _needed(operators: list[Any], tensor: int) -> list[Any]:
    """The operators that lead to `tensor`, in their order."""
    wanted, kept = {tensor}, []
    for operator in reversed(operators):
        if wanted & set(map(int, operator.outputs)):
            wanted |= set(map(int, operator.inputs))
            kept.append(operator)
    return kept[::-1]


def _name(tensor: Any) -> str:
    return bytes(tensor.name or b"").decode("utf-8", "replace")


def _tensor_info(tensor: Any) -> TensorInfo:
    shape = tuple(map(int, tensor.shape if tensor.shape is not None else ()))
    quant = tensor.quantization
    scaled = quant is not None and quant.scale is not None and len(quant.scale) == 1
    return TensorInfo(
        _name(tensor),
        shape,
        _DTYPES[tensor.type],
        "other",
        float(quant.scale[0]) if scaled else None,
        int(quant.zeroPoint[0]) if scaled else None,
    )
