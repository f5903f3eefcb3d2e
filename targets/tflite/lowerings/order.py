"""TopK, CumSum, and elements picked by computed indices. XNNPACK has none of them."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node, Tensor
from edgekit.targets.tflite.layout import identity, stored_axis
from edgekit.targets.tflite.rules import lowering


def legal_top_k(node: Node) -> str | None:
    if node.input(1).data is None:
        return "k must be a constant"
    if node.input(0).dtype != "float32":
        return f"{node.input(0).dtype} operands have no rule"
    return None


@lowering("TopK", ("TOPK_V2", "NEG", "CAST"), legal=legal_top_k, delegate=lambda node: "XNNPACK has no TOPK_V2")
def lower_top_k(em: Emitter, node: Node) -> None:
    """TOPK_V2 orders the axis that is stored last, largest first; the smallest are the largest of -x."""
    source = node.input(0)
    rank = len(source.shape)
    axis, perm = int(node.attrs.get("axis", -1)) % rank, em.layout(source)
    if perm[-1] != axis:
        perm = (*(i for i in identity(rank) if i != axis), axis)
    smallest = not node.attrs.get("largest", 1)
    values, places = node.outputs
    if smallest:
        source, given = em.scratch(source), source
        em.write("NEG", [em.input(given, perm)], source, perm)
    found = em.scratch(values) if smallest else values
    narrow = Tensor(places.name, places.shape, "int32")
    count = em.parameter(np.array([values.shape[axis]], np.int32), "k")
    em.write_many("TOPK_V2", [em.input(source, perm), count], [(found, perm), (narrow, perm)], {})
    if smallest:
        em.write("NEG", [em.input(found)], values, perm)
    if places.dtype:
        types = {"inDataType": schema.TensorType.INT32, "outDataType": schema.TensorType.INT64}
        em.write("CAST", [em.input(narrow)], places, perm, types)


def legal_cumulative_sum(node: Node) -> str | None:
    return "the axis must be a constant" if node.input(1).data is None else None


@lowering("CumSum", ("CUMSUM",), legal=legal_cumulative_sum, delegate=lambda node: "XNNPACK has no CUMSUM")
def lower_cumulative_sum(em: Emitter, node: Node) -> None:
    source = node.input(0)
    perm = em.layout(source)
    axis = stored_axis(perm, int(node.input(1).numbers().reshape(())))
    options = {name: bool(node.attrs.get(name, 0)) for name in ("exclusive", "reverse")}
    em.write("CUMSUM", [em.input(source), em.parameter(np.array(axis, np.int32), "axis")], node.output, perm, options)


def legal_gather_nd(node: Node) -> str | None:
    if node.attrs.get("batch_dims", 0):
        return "batch_dims has no TFLite kernel"
    return None if node.input(0).dtype == "float32" else f"{node.input(0).dtype} operands have no rule"


@lowering("GatherND", ("GATHER_ND",), legal=legal_gather_nd, delegate=lambda node: "XNNPACK has no GATHER_ND")
def lower_gather_nd(em: Emitter, node: Node) -> None:
    """On ONNX order: an index counts leading axes. Negative ones, which TFLite does not know, only in constants."""
    source, places = node.input(0), node.input(1)
    if places.data is not None:
        sizes = np.array(source.shape[: places.shape[-1]])
        index = em.parameter((places.numbers() % sizes).astype(np.int32), "indices")
    else:
        index = em.input(places, identity(len(places.shape)))
    inputs = [em.input(source, identity(len(source.shape))), index]
    em.write("GATHER_ND", inputs, node.output, identity(len(node.output.shape)))
