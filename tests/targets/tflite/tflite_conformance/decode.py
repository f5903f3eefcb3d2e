"""A .tflite file as text, read with the official schema: what the golden files hold."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def parse(data: bytes) -> Any:
    """The schema's object tree of a file."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def metadata(data: bytes, name: str) -> str:
    """The text that the file keeps under that name."""
    model = parse(data)
    entry = next(entry for entry in model.metadata if entry.name.decode() == name)
    return bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()


def tensor_names(data: bytes) -> tuple[list[str], list[str]]:
    """Names of the inputs and of the outputs."""
    graph = parse(data).subgraphs[0]
    return tuple([graph.tensors[i].name.decode() for i in side] for side in (graph.inputs, graph.outputs))  # type: ignore[return-value]


def operator_versions(data: bytes) -> dict[str, int]:
    """Builtin -> the version that the file asks the runtime for."""
    return {OPERATORS[code.builtinCode]: code.version for code in parse(data).operatorCodes}


def as_text(data: bytes) -> str:
    """Every table that a runtime reads, one line each; constants by their values or their sum."""
    model = parse(data)
    graph = model.subgraphs[0]
    lines = [f"TFLite schema {model.version}, {data[4:8].decode()}, {model.description.decode()}"]
    lines += [f"metadata {entry.name.decode()} {metadata(data, entry.name.decode())}" for entry in model.metadata]
    lines += [f"opcode {OPERATORS[c.builtinCode]} version {c.version}" for c in model.operatorCodes]
    lines += [_tensor(index, tensor, model) for index, tensor in enumerate(graph.tensors)]
    lines += [_operator(operator, model) for operator in graph.operators]
    lines += [f"inputs {list(map(int, graph.inputs))} outputs {list(map(int, graph.outputs))}"]
    lines += [_signature(signature) for signature in model.signatureDefs]
    return "\n".join(lines) + "\n"


def _signature(signature: Any) -> str:
    sides = ("inputs", signature.inputs), ("outputs", signature.outputs)
    named = [f"{side} " + " ".join(f"{e.name.decode()}=t{e.tensorIndex}" for e in entries) for side, entries in sides]
    return " ".join([f"signature {signature.signatureKey.decode()}", *named])


def _tensor(index: int, tensor: Any, model: Any) -> str:
    shape = "x".join(str(size) for size in tensor.shape)
    return (
        f"t{index} {tensor.name.decode()} {TYPES[tensor.type]}[{shape}]{_quantization(tensor)}{_values(tensor, model)}"
    )


def _quantization(tensor: Any) -> str:
    quant = tensor.quantization
    if quant is None or quant.scale is None:
        return ""
    scales = " ".join(f"{scale:.6g}" for scale in quant.scale)
    zeros = sorted({int(zero) for zero in quant.zeroPoint})
    axis = f" axis {quant.quantizedDimension}" if len(quant.scale) > 1 else ""
    return f" scale {scales} zero {zeros}{axis}"


def _values(tensor: Any, model: Any) -> str:
    raw = model.buffers[tensor.buffer].data
    if raw is None:
        return ""
    values = np.frombuffer(bytes(raw), np.dtype(TYPES[tensor.type].lower()))
    shown = values.tolist() if values.size <= 8 else f"{values.size} values, sum {values.sum():.6g}"
    return f" = {shown}"


def _operator(operator: Any, model: Any) -> str:
    options = {} if operator.builtinOptions is None else vars(operator.builtinOptions)
    chosen = " ".join(f"{name}={value}" for name, value in options.items() if np.any(value))
    name = OPERATORS[model.operatorCodes[operator.opcodeIndex].builtinCode]
    sources, results = (" ".join(f"t{index}" for index in side) for side in (operator.inputs, operator.outputs))
    return f"{name}({sources}) -> {results} {chosen}".rstrip()
