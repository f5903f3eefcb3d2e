"""Additions that change no stored integer are left out, with what was computed for them."""

import numpy as np

from edgekit.targets.tflite.graph import Graph, Node, Tensor
from edgekit.targets.tflite.lowerings.elementwise import delegate_add

LEAST_OF_A_STEP = 0.5
"""What changes no stored integer by more than its rounding."""


def fold_additions(graph: Graph) -> None:
    """An int8 Add or Sub whose one operand stays below half a step of the result is the other operand.

    XNNPACK refuses it. Scales of layers that training leaves tiny (LayerScale begins at 1e-5) make such additions.

    Skips: additions that XNNPACK takes; one that a clamp is fused to, or that broadcasts what is left.
    """
    for node in graph.nodes:
        left = _what_is_left(node) if node.op in ("Add", "Sub") else None
        if left is not None:
            node.op, node.inputs, node.attrs = "Identity", [left], {}
    graph.eliminate_dead_nodes()


def _what_is_left(node: Node) -> Tensor | None:
    result = node.output.quant
    if node.output.dtype != "int8" or result is None or node.clamp is not None or delegate_add(node) is None:
        return None
    for index in (1, 0) if node.op == "Add" else (1,):
        kept, other = node.input(1 - index), node.input(index)
        if kept.data is None and kept.shape == node.output.shape and _reach(other) < LEAST_OF_A_STEP * result.scale[0]:
            return kept
    return None


def _reach(operand: Tensor) -> float:
    """The largest size of its numbers."""
    if operand.data is not None:
        return float(np.abs(operand.numbers()).max(initial=0.0))
    if operand.quant is None:
        return np.inf
    zero = int(operand.quant.zero_point[0])
    return float(operand.quant.scale[0]) * max(127 - zero, 128 + zero)
