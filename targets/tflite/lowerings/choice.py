"""Comparisons, logic, and the choice between two tensors that they make. XNNPACK has none of them."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.layout import identity
from edgekit.targets.tflite.lowerings.elementwise import at_rank, binary_operands, merge_operands, merged_axes
from edgekit.targets.tflite.rules import Lower, lowering

COMPARED = ("float32", "int64", "bool")
CASTS = {
    "float32": schema.TensorType.FLOAT32,
    "int64": schema.TensorType.INT64,
    "int32": schema.TensorType.INT32,
    "bool": schema.TensorType.BOOL,
}
MAX_COMPARED_AXES = 4
"""Of two shapes that differ: the kernels have no loop over more."""
MAX_CHOSEN_AXES = 5


def refused(builtin: str) -> str:
    return f"XNNPACK has no {builtin}; arithmetic with Clip, Max and Min stays inside its partition"


def legal_comparison(node: Node) -> str | None:
    if node.input(0).dtype not in COMPARED:
        return f"{node.input(0).dtype} operands have no rule"
    if all(tensor is None or tensor.is_constant for tensor in node.inputs):
        return "both operands are constants; simplify the graph first"
    if len(merged_axes(node.input(0).shape, node.input(1).shape)) > MAX_COMPARED_AXES:
        return f"broadcasting over more than {MAX_COMPARED_AXES} axes has no TFLite kernel"
    return None


def _lower_comparison(builtin: str) -> Lower:
    def lower(em: Emitter, node: Node) -> None:
        operands, perm = binary_operands(em, node)
        if len(perm) <= MAX_COMPARED_AXES or operands[0].shape == operands[1].shape:
            em.write(builtin, [em.input(tensor, perm) for tensor in operands], node.output, perm)
            return
        operands, shape = merge_operands(em, operands)
        found = em.scratch(node.output, shape)
        em.write(builtin, [em.input(tensor) for tensor in operands], found, identity(len(shape)))
        em.reshape(found, node.output, identity(len(node.output.shape)))

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


def legal_logic(node: Node) -> str | None:
    if any(tensor is not None and tensor.dtype != "bool" for tensor in node.inputs):
        return "only truth values have a rule"
    return legal_comparison(node)


for _op, _builtin in (("And", "LOGICAL_AND"), ("Or", "LOGICAL_OR"), ("Xor", "NOT_EQUAL")):
    lowering(_op, (_builtin,), legal=legal_logic, delegate=lambda _, builtin=_builtin: refused(builtin))(  # type: ignore[misc]
        _lower_comparison(_builtin)
    )


@lowering("Not", ("LOGICAL_NOT",), delegate=lambda node: refused("LOGICAL_NOT"))
def lower_not(em: Emitter, node: Node) -> None:
    source = node.input(0)
    em.write("LOGICAL_NOT", [em.input(source)], node.output, em.layout(source))


def legal_cast(node: Node) -> str | None:
    kinds = node.input(0).dtype, node.output.dtype
    return None if set(kinds) <= set(CASTS) else f"from {kinds[0]} to {kinds[1]} has no rule"


@lowering("Cast", ("CAST",), legal=legal_cast, delegate=lambda node: "XNNPACK has no CAST")
def lower_cast(em: Emitter, node: Node) -> None:
    """TFLite casts as C does, ONNX too: towards zero, and a truth value is 0 or 1."""
    source = node.input(0)
    options = {"inDataType": CASTS[source.dtype], "outDataType": CASTS[node.output.dtype]}
    em.write("CAST", [em.input(source)], node.output, em.layout(source), options)


def legal_where(node: Node) -> str | None:
    if all(tensor is None or tensor.is_constant for tensor in node.inputs):
        return "all operands are constants; simplify the graph first"
    if node.output.dtype not in ("float32", "int64"):
        return f"a choice of {node.output.dtype} has no rule"
    if len(node.output.shape) > MAX_CHOSEN_AXES and len({t.shape for t in node.inputs if t is not None}) > 1:
        return f"more than {MAX_CHOSEN_AXES} axes have no TFLite kernel"
    return None


@lowering("Where", ("SELECT_V2",), legal=legal_where, delegate=lambda node: refused("SELECT_V2"))
def lower_where(em: Emitter, node: Node) -> None:
    """In the layout in which the largest operand lies."""
    operands = [at_rank(em, node.input(index), len(node.output.shape)) for index in range(3)]
    moving = [tensor for tensor in operands if not tensor.is_constant]
    perm = em.layout(max(moving, key=lambda tensor: int(np.prod(tensor.shape))))
    em.write("SELECT_V2", [em.input(tensor, perm) for tensor in operands], node.output, perm)
