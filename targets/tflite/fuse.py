"""Relu and Clip become the `clamp` of the operator before them; what it costs is decided when it is written."""

import numpy as np

from edgekit.targets.tflite.graph import Graph, Node

# Operators whose TFLite form has a fused activation.
CLAMPABLE = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "AveragePool", "MaxPool"}


def clamp_of(node: Node) -> tuple[float, float] | None:
    """(low, high) of a Relu or a Clip with constant bounds; None for any other node."""
    if node.op == "Relu":
        return (0.0, np.inf)
    if node.op != "Clip":
        return None
    bounds = [node.optional(1), node.optional(2)]
    if any(bound is not None and bound.data is None for bound in bounds):
        return None
    low, high = (None if bound is None else float(bound.numbers().reshape(())) for bound in bounds)
    return (-np.inf if low is None else low, np.inf if high is None else high)


def fuse_clamps(graph: Graph) -> None:
    """Fuse Relu/Clip into the operator before it where that operator's output has no other use."""
    producers, consumers = graph.producers(), graph.consumers()
    results = {id(tensor) for tensor in graph.outputs}
    for node in list(graph.nodes):
        clamp = clamp_of(node)
        if clamp is None:
            continue
        source = node.input(0)
        producer = producers.get(id(source))
        if (
            producer is None
            or producer.op not in CLAMPABLE
            or producer.clamp is not None
            or len(consumers[id(source)]) > 1
            or id(source) in results
        ):
            continue
        producer.clamp, producer.outputs = clamp, node.outputs
        producers[id(node.output)] = producer
        graph.nodes.remove(node)
