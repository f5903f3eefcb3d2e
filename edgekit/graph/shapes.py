"""ONNX's shape inference, and what it leaves out."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from edgekit.errors import EdgekitError
from edgekit.graph.session import REFUSALS, open_graph

NOT_RUN: tuple[type[Exception], ...] = (EdgekitError, *REFUSALS)


def forget_shapes(model: ir.Model) -> dict[str, ir.Shape]:
    """Drop the shape of every result, in place: a file that was cut or resized by hand declares some that are wrong.

    Returns:
        Name of a value -> what was declared, where every size was.
    """
    values = [value for node in model.graph.all_nodes() for value in node.outputs]
    declared = {str(value.name): value.shape for value in values if value.shape is not None and value.shape.is_static()}
    for value in values:
        value.shape = None
    return declared


def believe_shapes(model: ir.Model, declared: Mapping[str, ir.Shape]) -> bool:
    """Take what was declared for results of which inference says nothing, in place; whether there was one."""
    unknown = [
        value for node in model.graph for value in node.outputs if value.shape is None or not value.shape.is_static()
    ]
    found = [value for value in unknown if value.name in declared]
    for value in found:
        value.shape = declared[str(value.name)]
    return bool(found)


def infer_shapes(model: ir.Model, *, data_prop: bool = False) -> None:
    """ONNX's own inference; where it stops, at a GroupNormalization or an operator that is not ONNX's, once more.

    Args:
        data_prop: follow shapes that the graph computes too.
    """
    infer = common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=data_prop)
    infer(model)
    for node in model.graph:
        source, result = node.inputs[0] if node.inputs else None, node.outputs[0]
        if node.op_type != "GroupNormalization" or source is None or result.shape is not None:
            continue
        result.shape, result.type = source.shape, source.type
        infer(model)
    if _measure_foreign(model):
        infer(model)


def _measure_foreign(model: ir.Model) -> bool:
    """Give the results of operators of other domains (com.microsoft) the shapes that they have when the graph runs."""
    foreign = [value for node in model.graph if node.domain for value in node.outputs if value.name]
    unknown = [str(value.name) for value in foreign if value.shape is None or value.dtype is None]
    feeds = {value.name: value for value in model.graph.inputs if value.name not in model.graph.initializers}
    if not unknown or any(value.shape is None or not value.shape.is_static() for value in feeds.values()):
        return False
    probe = model.clone()
    found = {value.name: value for node in probe.graph for value in node.outputs}
    probe.graph.outputs[:] = [found[name] for name in unknown]
    zeros = {
        name: np.zeros([int(str(size)) for size in value.shape or ()], (value.dtype or ir.DataType.FLOAT).numpy())
        for name, value in feeds.items()
    }
    try:
        results = open_graph(probe, model.graph.name or "graph").run(unknown, zeros)
    except NOT_RUN:
        return False  # what does not run is refused where it is run for its own sake
    arrays = dict(zip(unknown, results, strict=True))
    for value in foreign:
        if value.name in arrays:
            array = arrays[value.name]
            value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    return True
