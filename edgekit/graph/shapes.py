"""ONNX's shape inference, and what it leaves out."""

import onnx_ir as ir
from onnx_ir.passes import common


def infer_shapes(model: ir.Model, *, data_prop: bool = False) -> None:
    """ONNX's own inference, which stops at a GroupNormalization, and from there once more.

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
