"""ReduceMean, ReduceMax, ReduceSum over constant axes, and ArgMax."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.layout import reduce_perm, stored_axis
from edgekit.targets.tflite.rules import INT8, INTEGERS, lowering


def reduced_axes(node: Node) -> set[int] | None:
    """The ONNX axes that are reduced; None where they are not constant."""
    rank = len(node.input(0).shape)
    given = node.optional(1)
    if given is not None:
        return None if given.data is None else {int(axis) % rank for axis in given.data.reshape(-1)}
    axes = node.attrs.get("axes")
    return set(range(rank)) if axes is None else {int(axis) % rank for axis in axes}


def legal_reduce(node: Node) -> str | None:
    return "the axes must be constants" if reduced_axes(node) is None else None


@lowering("ReduceMean", ("MEAN",), integer=INTEGERS, legal=legal_reduce)
def lower_reduce_mean(em: Emitter, node: Node) -> None:
    source, axes = node.input(0), reduced_axes(node)
    assert axes is not None
    perm, keep = em.layout(source), bool(node.attrs.get("keepdims", 1))
    stored = np.array(sorted(stored_axis(perm, axis) for axis in axes), np.int32)
    new_perm = perm if keep else reduce_perm(perm, axes)
    em.write("MEAN", [em.input(source), em.parameter(stored, "axes")], node.output, new_perm, {"keepDims": keep})


@lowering("ArgMax", ("ARG_MAX",), integer=INT8)
def lower_arg_max(em: Emitter, node: Node) -> None:
    """ONNX indices are int64, and so are these; the first of equal maxima wins in both."""
    from ai_edge_litert import schema_py_generated as schema

    source = node.input(0)
    rank = len(source.shape)
    axis, perm = int(node.attrs.get("axis", 0)) % rank, em.layout(source)
    dropped = (
        node.output if not node.attrs.get("keepdims", 1) else em.scratch(node.output, _without(source.shape, axis))
    )
    where = em.parameter(np.array([stored_axis(perm, axis)], np.int32), "axis")
    options = {"outputType": schema.TensorType.INT64}
    em.write("ARG_MAX", [em.input(source), where], dropped, reduce_perm(perm, {axis}), options)
    if dropped is not node.output:
        em.reshape(dropped, node.output, perm)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
