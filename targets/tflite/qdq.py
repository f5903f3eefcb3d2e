"""From Q/DQ nodes to quantized tensors.

A node between DequantizeLinear and QuantizeLinear becomes a node on the stored integers, if its kernel exists in
integers; Q and DQ nodes that are left over become QUANTIZE and DEQUANTIZE. Mixed precision, and QDQ graphs by other
tools (onnxruntime's quantize_static, NNCF), come out of the same rule.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.quant.parameters import FIXED
from edgekit.targets.tflite.graph import Graph, Node, Quant, Tensor

# ONNX inputs from this index on are parameters, not values: they may stay float constants beside quantized values.
FIRST_PARAMETER = {"Clip": 1, "Pad": 1, "Resize": 1, "Conv": 2, "Gemm": 2, "ConvTranspose": 2}
_SIGNED = {"uint8": ("int8", 128), "uint16": ("int16", 32768)}


def absorb_qdq(graph: Graph, has_integer_kernel: Callable[[Node, str], bool]) -> None:
    """Move quantization from Q/DQ nodes onto tensors, in place.

    uint8 activations and weights become int8 (zero point - 128): TFLite's kernels are signed, the steps are the same.

    Args:
        has_integer_kernel: whether a node can run on activations of a dtype; where it cannot, it stays in float.
    """
    _fold_constants(graph)
    _annotate(graph)
    producers, consumers = graph.producers(), graph.consumers()
    results = {id(tensor) for tensor in graph.outputs}
    for node in graph.nodes:
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            continue
        inputs = _integer_inputs(node, producers)
        outputs = [_integer_output(tensor, consumers, results) for tensor in node.outputs if tensor.dtype]
        if inputs is None or not all(outputs):
            continue
        # Weights and biases have dtypes of their own; what flows through the node must be of one.
        stored = {tensor.dtype for tensor in (inputs[0], *outputs) if tensor is not None and tensor.quant is not None}
        if len(stored) == 1 and has_integer_kernel(node, *stored) and _has_its_scale(node, outputs[0]):
            node.inputs = list(inputs)
            node.outputs = [tensor for tensor in outputs if tensor is not None]
    _remove_bypassed(graph)
    graph.eliminate_dead_nodes()
    _dequantize_constants(graph)


def _has_its_scale(node: Node, result: Tensor | None) -> bool:
    """Whether an integer kernel can write at that scale: SOFTMAX's refuses every scale but its own."""
    if node.op != "Softmax" or result is None or result.quant is None:
        return True
    fixed = FIXED["Softmax", "int16" if result.dtype == "int16" else "int8"]
    return bool(np.isclose(result.quant.scale[0], fixed.scale, rtol=1e-3))


def _fold_constants(graph: Graph) -> None:
    """DequantizeLinear (or Q then DQ) of a constant is a quantized constant."""
    kept = []
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        if node.op == "DequantizeLinear" and source is not None and source.data is not None:
            _store(node.output, source.data, _read_quant(node, len(source.shape)))
        elif node.op == "QuantizeLinear" and source is not None and source.data is not None:
            quant = _read_quant(node, len(source.shape))
            node.output.data = quantize_array(source.numbers(), quant, _storage(node))
        else:
            kept.append(node)
    graph.nodes = kept


def _store(tensor: Tensor, data: NDArray[Any], quant: Quant) -> None:
    signed, shift = _SIGNED.get(data.dtype.name, (data.dtype.name, 0))
    tensor.data = (data.astype(np.int64) - shift).astype(signed)
    tensor.quant = replace(quant, zero_point=quant.zero_point - shift)
    tensor.dtype = signed


def _read_quant(node: Node, rank: int) -> Quant:
    scale = node.input(1).numbers().astype(np.float32).reshape(-1)
    zero = node.optional(2)
    zero_point = np.zeros(scale.shape, np.int64) if zero is None else zero.numbers().astype(np.int64).reshape(-1)
    axis = int(node.attrs.get("axis", 1)) % max(rank, 1) if scale.size > 1 else None
    return Quant(scale, zero_point, axis)


def _storage(node: Node) -> str:
    """The dtype a QuantizeLinear stores."""
    zero = node.optional(2)
    return zero.dtype if zero is not None else "uint8"


def _annotate(graph: Graph) -> None:
    """Put signed quantization onto the integer tensors between Q and DQ."""
    for node in graph.nodes:
        if node.op == "QuantizeLinear":
            signed, shift = _SIGNED.get(_storage(node), (_storage(node), 0))
            quant = _read_quant(node, len(node.output.shape))
            node.output.dtype = signed
            node.output.quant = replace(quant, zero_point=quant.zero_point - shift)


def _integer_inputs(node: Node, producers: dict[int, Node]) -> list[Tensor | None] | None:
    """The node's inputs as stored integers, or None where one of its values is float."""
    found: list[Tensor | None] = []
    for index, tensor in enumerate(node.inputs):
        producer = producers.get(id(tensor)) if tensor is not None else None
        if producer is not None and producer.op == "DequantizeLinear":
            stored = producer.input(0)
            if stored.quant is not None and stored.quant.axis is not None:
                return None  # no kernel reads activations with a scale per channel: the node after it says so
            found.append(stored)
        elif (
            tensor is None
            or tensor.quant is not None
            or tensor.dtype != "float32"
            or (tensor.data is not None and index >= FIRST_PARAMETER.get(node.op, len(node.inputs)))
        ):
            found.append(tensor)
        else:
            return None
    return found


def _dequantize_constants(graph: Graph) -> None:
    """A node that stays in float reads its constants in float."""
    for node in graph.nodes:
        if node.op in ("QuantizeLinear", "DequantizeLinear") or any(out.quant is not None for out in node.outputs):
            continue
        for index, tensor in enumerate(node.inputs):
            if tensor is not None and tensor.data is not None and tensor.quant is not None:
                node.inputs[index] = replace(tensor, dtype="float32", quant=None, data=tensor.numbers())


def _integer_output(tensor: Tensor, consumers: dict[int, list[Node]], results: set[int]) -> Tensor | None:
    """The quantized form of an output, if every reader quantizes it the same way; an index stays what it is."""
    if tensor.dtype != "float32":
        return tensor
    readers = consumers.get(id(tensor), [])
    if not readers or id(tensor) in results or any(reader.op != "QuantizeLinear" for reader in readers):
        return None
    first = readers[0].output
    if first.quant is not None and first.quant.axis is not None:
        return None
    for reader in readers[1:]:
        if first.quant is None or reader.output.dtype != first.dtype or not first.quant.same_as(reader.output.quant):
            return None
    return first


def _remove_bypassed(graph: Graph) -> None:
    """Drop the Q nodes whose output a quantized node now makes itself; their twins read the one that is left."""
    made = {id(out) for node in graph.nodes if node.op != "QuantizeLinear" for out in node.outputs}
    by_source: dict[int, Tensor] = {}
    aliases: dict[int, Tensor] = {}
    for node in graph.nodes:
        if node.op == "QuantizeLinear" and id(node.output) in made:
            by_source[id(node.input(0))] = node.output
    for node in graph.nodes:
        if node.op == "QuantizeLinear" and id(node.input(0)) in by_source:
            aliases[id(node.output)] = by_source[id(node.input(0))]
    graph.nodes = [n for n in graph.nodes if not (n.op == "QuantizeLinear" and id(n.output) in aliases)]
    for node in graph.nodes:
        node.inputs = [aliases.get(id(tensor), tensor) if tensor is not None else None for tensor in node.inputs]
    graph.outputs = [aliases.get(id(tensor), tensor) for tensor in graph.outputs]


def strip_io(graph: Graph) -> None:
    """Let the graph take and give stored integers: drop the Q behind each input and the DQ before each output."""
    consumers, producers = graph.consumers(), graph.producers()
    for index, tensor in enumerate(graph.inputs):
        readers = consumers.get(id(tensor), [])
        if len(readers) == 1 and readers[0].op == "QuantizeLinear":
            readers[0].output.name, tensor.name = tensor.name, f"{tensor.name}/float"
            graph.inputs[index] = readers[0].output
            graph.nodes.remove(readers[0])
    for index, tensor in enumerate(graph.outputs):
        producer = producers.get(id(tensor))
        if producer is not None and producer.op == "DequantizeLinear":
            stored = producer.input(0)
            stored.name, tensor.name = tensor.name, f"{tensor.name}/float"
            graph.outputs[index] = stored
    graph.eliminate_dead_nodes()


def quantize_array(real: NDArray[Any], quant: Quant, dtype: str) -> NDArray[Any]:
    """round(real / scale) + zero_point, saturated to `dtype`."""
    shape = [1] * real.ndim
    if quant.axis is not None and real.ndim:
        shape[quant.axis] = -1
    limits = np.iinfo(dtype)
    steps = np.rint(real.astype(np.float64) / quant.scale.reshape(shape)) + quant.zero_point.reshape(shape)
    stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype).reshape(real.shape)
    return stored
