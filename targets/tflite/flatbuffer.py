"""Assembling the .tflite file: the official schema's object API, deterministic and 16-byte aligned."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgekit.errors import EdgekitError
from edgekit.target import EmittedNode
from edgekit.targets.tflite.builtins import BUILTINS, Version
from edgekit.targets.tflite.graph import Quant

FILE_IDENTIFIER = b"TFL3"
MOST_BYTES = 2**31 - 1  # offsets in a flatbuffer are signed 32-bit numbers
ALIGNMENT = 16  # the schema's force_align of Buffer.data; kernels load weights straight from the mapped file
DESCRIPTION = "edgekit"
SIGNATURE = "serving_default"  # what every converter calls a file's only one; runtimes take it where none is named

TENSOR_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
}


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the generated module is untyped
    """A buffer whose bytes start at a multiple of ALIGNMENT; Python's generated code ignores force_align."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        offset = None
        if self.data is not None:
            data = self.data
            builder.StartVector(1, len(data), ALIGNMENT)
            start = builder.head = builder.Head() - len(data)
            builder.Bytes[start : start + len(data)] = data.tobytes()
            offset = builder.EndVector()
        schema.BufferStart(builder)
        if offset is not None:
            schema.BufferAddData(builder, offset)
        return int(schema.BufferEnd(builder))


def pack_model(model: Any) -> bytes:
    """The bytes of a schema.ModelT whose buffers are BufferT or aligned ones.

    Raises:
        EdgekitError: EK303 when they are more than a flatbuffer holds.
    """
    model.buffers = [_aligned(buffer) for buffer in model.buffers]
    size = sum(len(b.data) + 64 for b in model.buffers if b.data is not None)
    graph = model.subgraphs[0]
    size += 512 * (len(graph.tensors) + len(graph.operators)) + 4096
    if size > MOST_BYTES:
        raise EdgekitError(
            "EK303",
            what=f"the .tflite file would have {size / 1e9:.1f} GB, its format holds 2",
            where="the graph's weights",
            fix="use tflite-fp16, tflite-dynamic or tflite-int8, or the ort targets, which have no such limit",
        )
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _aligned(buffer: Any) -> _AlignedBuffer:
    if isinstance(buffer, _AlignedBuffer):
        return buffer
    aligned = _AlignedBuffer()
    if buffer.data is not None and len(buffer.data):
        aligned.data = np.asarray(buffer.data, np.uint8)
    return aligned


class FlatbufferWriter:
    """Collects tensors, buffers and operators of the one subgraph, then packs them."""

    def __init__(self) -> None:
        self._buffers: list[_AlignedBuffer] = [_AlignedBuffer()]  # buffer 0 is empty by convention
        self._buffer_of: dict[bytes, int] = {}
        self._tensors: list[Any] = []
        self._names: Counter[str] = Counter()
        self._codes: dict[tuple[str, int], int] = {}
        self._operators: list[Any] = []
        self._runtimes: set[str] = {"1.5.0"}
        self.nodes: list[EmittedNode] = []

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        quant: Quant | None = None,
        data: NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor in stored order and return its index. `quant.axis` is the stored axis here."""
        tensor = schema.TensorT()
        tensor.name = self._unique(name)
        tensor.shape = np.array(shape, np.int32)
        tensor.type = TENSOR_TYPES[dtype]
        tensor.hasRank = True
        tensor.buffer = 0 if data is None else self._buffer(data)
        if quant is not None:
            tensor.quantization = _pack_quant(quant)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def claim_name(self, index: int, name: str) -> None:
        """Give tensor `index` the name `name`; a tensor that has it now takes its name in exchange."""
        claimant = self._tensors[index]
        for holder in self._tensors:
            if holder.name == name:
                holder.name = claimant.name
        claimant.name = name

    def operator(
        self, node: EmittedNode, inputs: list[int], outputs: list[int], options: dict[str, Any], version: Version
    ) -> None:
        """Append an operator. `options` are fields of the builtin's options table."""
        builtin = node.operator
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(builtin, version[0])
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        stem = BUILTINS[builtin].options
        if stem is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{stem}Options")
            operator.builtinOptions = _make_options(stem, options)
        self._operators.append(operator)
        self._runtimes.add(version[1])
        self.nodes.append(node)

    @property
    def min_runtime(self) -> str:
        return max(self._runtimes, key=lambda text: tuple(map(int, text.split("."))))

    def pack(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The file's bytes.

        Args:
            inputs, outputs: name -> tensor, in order. An app asks by these names, which an input may share with an
                output; the tensors' own are all different.
        """
        model = schema.ModelT()
        model.version = 3
        model.description = DESCRIPTION
        model.operatorCodes = [_operator_code(name, version) for name, version in self._codes]
        model.subgraphs = [self._subgraph(list(inputs.values()), list(outputs.values()))]
        model.signatureDefs = [self._signature(inputs, outputs)]
        model.metadata = [self._metadata("min_runtime_version", self.min_runtime)]
        model.buffers = self._buffers
        return pack_model(model)

    def _subgraph(self, inputs: list[int], outputs: list[int]) -> Any:
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.inputs, subgraph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        return subgraph

    def _signature(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
        """How an app reaches inputs and outputs by name; runtimes that know no signatures pass over it."""
        signature = schema.SignatureDefT()
        signature.signatureKey = SIGNATURE
        signature.inputs = [_named(*item) for item in inputs.items()]
        signature.outputs = [_named(*item) for item in outputs.items()]
        return signature

    def _metadata(self, name: str, text: str) -> Any:
        entry = schema.MetadataT()
        entry.name = name
        entry.buffer = self._buffer(np.frombuffer(text.encode().ljust(16, b"\0"), np.uint8))
        return entry

    def _unique(self, name: str) -> str:
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name};{self._names[name]}"

    def _buffer(self, data: NDArray[Any]) -> int:
        content = data.tobytes()
        if content not in self._buffer_of:
            buffer = _AlignedBuffer()
            buffer.data = np.frombuffer(content, np.uint8)
            self._buffers.append(buffer)
            self._buffer_of[content] = len(self._buffers) - 1
        return self._buffer_of[content]

    def _opcode(self, builtin: str, version: int) -> int:
        return self._codes.setdefault((builtin, version), len(self._codes))


def _named(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


def _operator_code(builtin: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, builtin)
    code.builtinCode = number
    code.deprecatedBuiltinCode = min(number, 127)  # what runtimes older than 2.4 read
    code.version = version
    return code


def _make_options(stem: str, fields: dict[str, Any]) -> Any:
    options = getattr(schema, f"{stem}OptionsT")()
    for name, value in fields.items():
        if not hasattr(options, name):
            raise AttributeError(f"{stem}Options has no field {name}")
        setattr(options, name, value)
    return options


def _pack_quant(quant: Quant) -> Any:
    packed = schema.QuantizationParametersT()
    packed.scale = quant.scale.astype(np.float32)
    packed.zeroPoint = quant.zero_point.astype(np.int64)
    packed.quantizedDimension = quant.axis or 0
    return packed
