"""Memory of one inference, from a graph: weights, and activations by their lifetimes."""

import math
from collections import Counter
from dataclasses import dataclass

import onnx_ir as ir

VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"))
"""Operators whose output is the input's memory under another shape."""

ACTIVATIONS = frozenset(("Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Erf", "Gelu"))
IN_PLACE = ACTIVATIONS | {"Add", "Sub", "Mul", "Div", "Softmax", "BatchNormalization"}
"""Operators that may write over an input of the same size that nobody reads afterwards."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at batch 1, in the graph's own numbers (float32: 4 bytes each).

    Args:
        weights_bytes: constants of the graph.
        peak_activations_bytes: the largest sum of live activations, input included, when operators run in the graph's
            order and every buffer is freed after its last use: what a runtime's planner aims at.
    """

    weights_bytes: int
    peak_activations_bytes: int


def memory(model: ir.Model) -> Memory:
    """Count the memory of `model`; all shapes must be static."""
    constants = [value.const_value for value in model.graph.initializers.values()]
    return Memory(sum(tensor.nbytes for tensor in constants if tensor is not None), peak_activations(model))


def peak_activations(model: ir.Model) -> int:
    """The largest sum of live activations in bytes; see `Memory`."""
    graph = model.graph
    buffers = {value: value for value in graph.inputs}  # every activation -> the one whose memory it is
    reads = Counter(value for node in graph for value in node.inputs if value is not None)
    reads.update(graph.outputs)
    waiting = Counter({value: reads[value] for value in graph.inputs})
    live = peak = sum(map(size_bytes, graph.inputs))
    for node in graph:
        sources = [buffers[value] for value in node.inputs if value in buffers]
        for output in node.outputs:
            shared = _shared_buffer(node, output, sources, waiting)
            buffers[output] = shared or output
            waiting[buffers[output]] += reads[output]
            live += 0 if shared else size_bytes(output)
        peak = max(peak, live)
        for buffer in sources:
            waiting[buffer] -= 1
            if not waiting[buffer]:
                live -= size_bytes(buffer)
    return peak


def _shared_buffer(
    node: ir.Node, output: ir.Value, sources: list[ir.Value], waiting: "Counter[ir.Value]"
) -> ir.Value | None:
    """The input's memory that the output takes over, or None where it needs its own."""
    if node.op_type in VIEWS and sources:
        return sources[0]
    if node.op_type not in IN_PLACE:
        return None
    reads_here = Counter(sources)
    dying = (buffer for buffer in sources if waiting[buffer] == reads_here[buffer])
    return next((buffer for buffer in dying if size_bytes(buffer) == size_bytes(output)), None)


def size_bytes(value: ir.Value) -> int:
    """Bytes of a value with a static shape and a known dtype."""
    if value.shape is None or value.dtype is None:
        raise ValueError(f"{value.name} has no static shape or no dtype")
    return math.ceil(math.prod(int(str(dim)) for dim in value.shape) * value.dtype.bitwidth / 8)
