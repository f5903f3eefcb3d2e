"""A classifier on a map: its weights take the map's pixels as they lie, so that flattening moves nothing."""

from dataclasses import replace

import numpy as np

from edgekit.targets.tflite.graph import Graph, Node, Tensor
from edgekit.targets.tflite.layout import channels_last, stored_shape

WINDOWED = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "Resize"})
"""Operators whose result is stored channels-last."""

AS_IT_LIES = frozenset(
    {"Relu", "Clip", "HardSwish", "Sigmoid", "Add", "Sub", "Mul", "Concat", "Pad", "BatchNormalization"}
)
AS_IT_LIES |= {"QuantizeLinear", "DequantizeLinear"}
"""Operators that take whatever layout comes."""


def fold_flattens(graph: Graph) -> None:
    """[N,C,H,W] -> [N,C*H*W] -> Gemm becomes [N,H,W,C] -> [N,H*W*C] -> Gemm with its columns in that order.

    AlexNet and VGG flatten maps of 6x6 and 7x7: without this a TRANSPOSE stands before their largest layer.

    Skips: a map that is not known to lie channels-last; a flattened value that anything but a Gemm with constant
        weights reads.
    """
    producers, consumers = graph.producers(), graph.consumers()
    results = {id(tensor) for tensor in graph.outputs}
    images = {id(tensor) for tensor in graph.inputs}

    def lies_channels_last(tensor: Tensor) -> bool:
        producer = producers.get(id(tensor))
        while producer is not None and producer.op in AS_IT_LIES:
            tensor = producer.input(0)
            producer = producers.get(id(tensor))
        return id(tensor) in images if producer is None else producer.op in WINDOWED

    for node in list(graph.nodes):
        readers = consumers.get(id(node.output), []) if node.outputs else []
        if not _flattens_map(node) or id(node.output) in results or not lies_channels_last(node.input(0)):
            continue
        if readers and all(_multiplies(reader, node.output) for reader in readers):
            _reorder(graph, node, readers)


def _flattens_map(node: Node) -> bool:
    """Whether it is [N,C,H,W] -> [N,C*H*W], of more than one channel and pixel: else nothing has to move."""
    if node.op not in ("Reshape", "Flatten"):
        return False
    shape = node.input(0).shape
    flat = len(shape) == 4 and node.output.shape == (shape[0], int(np.prod(shape[1:])))
    return flat and shape[1] > 1 and shape[2] * shape[3] > 1


def _multiplies(reader: Node, flat: Tensor) -> bool:
    weights = reader.inputs[1] if len(reader.inputs) > 1 else None
    takes = reader.op == "Gemm" and reader.inputs[0] is flat and not reader.attrs.get("transA", 0)
    return takes and weights is not None and weights.data is not None


def _reorder(graph: Graph, node: Node, readers: list[Node]) -> None:
    source, perm = node.input(0), channels_last(4)
    moved = replace(source, name=f"{source.name}/channels_last", shape=stored_shape(source.shape, perm))
    transpose = Node("Transpose", f"{node.name}/channels_last", node.module, [source], [moved], {"perm": list(perm)})
    graph.nodes.insert(graph.nodes.index(node), transpose)
    node.inputs[0] = moved
    order = np.arange(node.output.shape[1]).reshape(source.shape[1:]).transpose(1, 2, 0).reshape(-1)
    for reader in readers:
        weights = reader.input(1)
        assert weights.data is not None
        columns = 1 if reader.attrs.get("transB", 0) else 0
        reader.inputs[1] = replace(weights, data=np.take(weights.data, order, axis=columns))
