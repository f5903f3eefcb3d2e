"""Comparisons, and the choice between two tensors that they make. XNNPACK has none of them."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.lowerings.elementwise import at_rank, binary_operands, legal_binary
from edgekit.targets.tflite.rules import Lower, lowering

MAX_COMPARED_AXES = 4
"""Of two shapes that differ: the kernels have no loop over more."""
MAX_CHOSEN_AXES = 5


def refused(builtin: str) -> str:
    return f"XNNPACK has no {builtin}; arithmetic with Clip, Max and Min stays inside its partition"


def legal_comparison(node: Node) -> str | None:
    if node.input(0).dtype != "float32":
        return f"{node.input(0).dtype} operands have no rule"
    if node.input(0).shape != node.input(1).shape and len(node.output.shape) > MAX_COMPARED_AXES:
        return f"broadcasting over more than {MAX_COMPARED_AXES} axes has no TFLite kernel"
    return legal_binary(node)


def _lower_comparison(builtin: str) -> Lower:
    def lower(em: Emitter, node: Node) -> None:
        operands, perm = binary_operands(em, node)
        em.write(builtin, [em.input(tensor, perm) for tensor in operands], node.output, perm)

    return lower


for _op, _builtin in (
    ("Greater", "GREATER"),
    ("GreaterOrEqual", "GREATER_EQUAL"),
    ("Less", "LESS"),
    ("LessOrEqual", "LESS_EQUAL"),
    ("Equal", "EQUAL"),
):
    lowering(_op, (_builtin,), legal=legal_comparison, delegate=lambda _, builtin=_builtin: refused(builtin))(  # type: ignore[misc]
        _lower_comparison(_builtin)
    )


def legal_where(node: Node) -> str | None:
    if all(tensor is None or tensor.is_constant for tensor in node.inputs):
        return "all operands are constants; simplify the graph first"
    if node.output.dtype != "float32":
        return f"a choice of {node.output.dtype} has no rule"
    if len(node.output.shape) > MAX_CHOSEN_AXES:
        return f"more than {MAX_CHOSEN_AXES} axes have no TFLite kernel"
    return None


@lowering("Where", ("SELECT_V2",), legal=legal_where, delegate=lambda node: refused("SELECT_V2"))
def lower_where(em: Emitter, node: Node) -> None:
    """In the layout in which the largest operand lies."""
    operands = [at_rank(em, node.input(index), len(node.output.shape)) for index in range(3)]
    moving = [tensor for tensor in operands if not tensor.is_constant]
    perm = em.layout(max(moving, key=lambda tensor: int(np.prod(tensor.shape))))
    em.write("SELECT_V2", [em.input(tensor, perm) for tensor in operands], node.output, perm)
