"""ReduceMean, ReduceSum, ReduceMax, ReduceMin over constant axes, and ArgMax."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.targets.tflite.builtins import BUILTINS
from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.layout import reduce_perm, stored_axis
from edgekit.targets.tflite.rules import INT8, INTEGERS, Lower, lowering


def reduced_axes(node: Node) -> set[int] | None:
    """The ONNX axes that are reduced; None where they are not constant."""
    rank = len(node.input(0).shape)
    given = node.optional(1)
    if given is not None:
        return None if given.data is None else {int(axis) % rank for axis in given.data.reshape(-1)}
    axes = node.attrs.get("axes")
    return set(range(rank)) if axes is None else {int(axis) % rank for axis in axes}


def legal_reduce(node: Node) -> str | None:
    if node.attrs.get("noop_with_empty_axes", 0):
        return "noop_with_empty_axes has no rule"
    return "the axes must be constants" if reduced_axes(node) is None else None


def _lower_reduction(builtin: str) -> Lower:
    def lower(em: Emitter, node: Node) -> None:
        source, axes = node.input(0), reduced_axes(node)
        assert axes is not None
        perm, keep = em.layout(source), bool(node.attrs.get("keepdims", 1))
        stored = np.array(sorted(stored_axis(perm, axis) for axis in axes), np.int32)
        new_perm = perm if keep else reduce_perm(perm, axes)
        em.write(builtin, [em.input(source), em.parameter(stored, "axes")], node.output, new_perm, {"keepDims": keep})

    return lower


lowering("ReduceMean", ("MEAN",), integer=INTEGERS, legal=legal_reduce)(_lower_reduction("MEAN"))
lowering("ReduceSum", ("SUM",), integer=INT8, legal=legal_reduce)(_lower_reduction("SUM"))
lowering("ReduceMax", ("REDUCE_MAX",), integer=INTEGERS, same_quant=True, legal=legal_reduce)(
    _lower_reduction("REDUCE_MAX")
)
lowering("ReduceMin", ("REDUCE_MIN",), integer=INTEGERS, same_quant=True, legal=legal_reduce)(
    _lower_reduction("REDUCE_MIN")
)
lowering("ReduceProd", ("REDUCE_PROD",), legal=legal_reduce, delegate=lambda node: "XNNPACK has no REDUCE_PROD")(
    _lower_reduction("REDUCE_PROD")
)


def legal_arg_max(node: Node) -> str | None:
    return "select_last_index has no TFLite kernel" if node.attrs.get("select_last_index", 0) else None


def _lower_place(builtin: str) -> Lower:
    """ONNX indices are int64, and so are these; the first of equal extremes wins in both."""

    def lower(em: Emitter, node: Node) -> None:
        source = node.input(0)
        rank = len(source.shape)
        axis, perm = int(node.attrs.get("axis", 0)) % rank, em.layout(source)
        kept = node.attrs.get("keepdims", 1)
        dropped = em.scratch(node.output, _without(source.shape, axis)) if kept else node.output
        where = em.parameter(np.array([stored_axis(perm, axis)], np.int32), "axis")
        options = {"outputType": schema.TensorType.INT64}
        version = BUILTINS[builtin].version(source.dtype)
        em.write(builtin, [em.input(source), where], dropped, reduce_perm(perm, {axis}), options, version=version)
        if dropped is not node.output:
            em.reshape(dropped, node.output, perm)

    return lower


for _op, _builtin in (("ArgMax", "ARG_MAX"), ("ArgMin", "ARG_MIN")):
    lowering(_op, (_builtin,), integer=INT8, legal=legal_arg_max)(_lower_place(_builtin))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
