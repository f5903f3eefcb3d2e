"""The float form of a squeeze-and-excitation gate: HardSigmoid without an operator of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.targets.tflite.graph import Graph, Node, Tensor


def fold_hard_sigmoids(graph: Graph) -> None:
    """Conv -> HardSigmoid -> Mul -> Conv becomes Conv + RELU6 -> Mul -> Conv, in float.

    hard_sigmoid(x) = relu6(x + 3) / 6: the 3 goes into the bias before it, RELU6 is fused, and the factor 1/6 passes
    through the Mul into the weights behind it. Exact but for rounding.

    Skips: another slope or offset; an integer graph (its saturation is the clamp); a gate, product or weight that
        something else reads; a Mul whose reader is not a Conv with constant weights.
    """
    producers, consumers = graph.producers(), graph.consumers()
    results = {id(tensor) for tensor in graph.outputs}

    def only_reader(tensor: Tensor, op: str) -> Node | None:
        readers = consumers.get(id(tensor), [])
        return readers[0] if len(readers) == 1 and readers[0].op == op and id(tensor) not in results else None

    for gate in [node for node in graph.nodes if _is_gate(node)]:
        before = producers.get(id(gate.input(0)))
        product = only_reader(gate.output, "Mul")
        after = only_reader(product.output, "Conv") if product is not None else None
        if before is None or before.op != "Conv" or before.clamp or not only_reader(before.output, "HardSigmoid"):
            continue
        if product is None or product.clamp or after is None or after.input(0) is not product.output:
            continue
        bias, weights = before.optional(2), after.input(1)
        if bias is None or bias.data is None or weights.data is None or weights.quant is not None:
            continue
        before.inputs[2] = _constant(bias, bias.numbers() + np.float32(3))
        before.clamp, before.outputs = (0.0, 6.0), gate.outputs
        after.inputs[1] = _constant(weights, weights.numbers() / np.float32(6))
        graph.nodes.remove(gate)


def _is_gate(node: Node) -> bool:
    if node.op != "HardSigmoid" or node.is_integer:
        return False
    return bool(np.isclose(node.attrs.get("alpha", 0.2), 1 / 6)) and node.attrs.get("beta", 0.5) == 0.5


def _constant(like: Tensor, data: NDArray[Any]) -> Tensor:
    """A copy, because a constant may be shared."""
    return Tensor(like.name, like.shape, like.dtype, data=data)
