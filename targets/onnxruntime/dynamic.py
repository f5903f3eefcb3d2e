"""Dynamic-range quantization: int8 weights, activations quantized when their range is known, at run time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgekit.graph.constants import new_initializer
from edgekit.quant.weights import quantize_weight

MIN_ELEMENTS = 1024  # smaller weights save nothing, and quantizing their input costs


def quantize_products(model: ir.Model) -> ir.Model:
    """A copy of a float graph whose matrix products with constant weights run on integers.

        xq, sx, zx = DynamicQuantizeLinear(x)          y = MatMulInteger(xq, Wq, zx) * (sx * sw) + b

    Wq i8[I, O] with one scale per output channel. Convolutions stay float32: ONNX Runtime's ConvInteger takes 3 to 10
    times the time of a float Conv (1.31, x86-64 with VNNI, MobileNetV3-Small), and a convolution that dequantizes its
    weights before each run twice. ONNX Runtime fuses the four nodes into one.

    Skips: weights under MIN_ELEMENTS, or computed at run time; a Gemm that scales or transposes its input.
    """
    result = model.clone()
    for node in [node for node in result.graph if node.op_type in ("Gemm", "MatMul")]:
        weight = _weight(node)
        if weight is not None and weight.size >= MIN_ELEMENTS:
            _replace(result.graph, node, weight)
    RemoveUnusedNodesPass()(result)
    return result


def _weight(node: ir.Node) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """The constant second factor as f32[I, O]."""
    factor = node.inputs[1]
    if factor is None or factor.const_value is None or factor.shape is None or len(factor.shape) != 2:
        return None
    if node.op_type == "MatMul":
        return factor.const_value.numpy()
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    plain = node.attributes.get_float("alpha", 1.0) == node.attributes.get_float("beta", 1.0) == 1.0
    if not plain or node.attributes.get_int("transA", 0) == 1 or bias is None or bias.const_value is None:
        return None
    values = factor.const_value.numpy()
    return values.T if node.attributes.get_int("transB", 0) else values


def _replace(graph: ir.Graph, node: ir.Node, weight: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    name, source, output = node.name or node.op_type, node.inputs[0], node.outputs[0]
    assert source is not None
    quantized = quantize_weight(weight, axis=1)
    made: list[ir.Node] = []

    def add(op: str, label: str, inputs: Sequence[ir.Value], outputs: int = 1, **attributes: Any) -> list[ir.Value]:
        metadata = dict(node.metadata_props)
        made.append(ir.node(op, inputs, attributes or None, num_outputs=outputs, metadata_props=metadata))
        made[-1].name = f"{name}_{label}"
        for index, value in enumerate(made[-1].outputs):
            value.name = f"{name}_{label}_{index}"
        return list(made[-1].outputs)

    def constant(label: str, array: np.ndarray[Any, Any]) -> ir.Value:
        return new_initializer(graph, f"{name}_{label}", array)

    stored, scale, zero_point = add("DynamicQuantizeLinear", "quantized", [source], outputs=3)
    factor = constant("weight_quantized", np.ascontiguousarray(quantized.stored))
    (product,) = add("MatMulInteger", "product", [stored, factor, zero_point])
    (real,) = add("Cast", "real", [product], to=int(ir.DataType.FLOAT))
    (scales,) = add("Mul", "scales", [scale, constant("weight_scale", quantized.scale)])
    (result,) = add("Mul", "scaled", [real, scales])
    if node.op_type == "Gemm":
        assert node.inputs[2] is not None
        (result,) = add("Add", "biased", [result, node.inputs[2]])
    result.type, result.shape = output.type, output.shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], made, [output], [result])
