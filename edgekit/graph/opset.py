"""Bringing a graph to another opset without changing what it computes."""

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

FIRST_WITH_COORDINATES = 11
"""The opset from which a Resize says how it finds the pixel that it reads; before, and in Upsample, it is x / scale."""


def convert_opset(model: ir.Model, version: int) -> ir.Model:
    """`model` at another opset, by onnx's converter, as a new model.

    The converter takes an Upsample, and a Resize of opset 10, for a Resize that aligns the centres of pixels. They
    align corners' edges ("asymmetric"): onnx.ai/onnx/operators/onnx__Upsample.html, and ONNX Runtime computes it.

    Raises:
        RuntimeError, onnx.checker.ValidationError, onnx.version_converter.ConvertError: as the converter does.
    """
    proto = ir.to_proto(model)
    converted = onnx.version_converter.convert_version(proto, version)
    if model.opset_imports.get("", version) < FIRST_WITH_COORDINATES:
        resizes = (node for node in converted.graph.node if node.op_type == "Resize")
        for node, nearest in zip(resizes, _read_at_edges(proto), strict=True):
            if nearest is not None:
                node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
                node.attribute.append(helper.make_attribute("nearest_mode", nearest))
    return ir.from_proto(converted)


def _read_at_edges(proto: onnx.ModelProto) -> list[str | None]:
    """For each resize how it rounds to the nearest pixel; None where the converted one reads the same pixels."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    found: list[str | None] = []
    for node in (node for node in proto.graph.node if node.op_type in ("Upsample", "Resize")):
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        scales = attributes.get("scales", constants.get(node.input[1]) if len(node.input) > 1 else None)
        factors = None if scales is None else np.asarray(scales, np.float64)
        copies = attributes.get("mode", b"nearest") == b"nearest"
        # A pixel repeated a whole number of times is the same either way.
        repeats = copies and factors is not None and (factors % 1 == 0).all()
        shrinks = factors is not None and bool((factors < 1).any())
        found.append(None if repeats else "ceil" if shrinks else "floor")
    return found
