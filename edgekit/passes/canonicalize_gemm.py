"""One way to write a fully connected layer: y = x W^T + b."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    float_attribute,
    for_each,
    graph_of,
    has_one_use,
    int_attribute,
    new_constant,
    new_node,
    set_constant,
    shape_of,
    sole_producer,
    substitute,
)


def canonicalize_gemm(model: ir.Model) -> bool:
    """Gemm gets transA=0, transB=1, alpha=beta=1 and a bias of [N]; MatMul of rank 2 with a constant becomes Gemm.

    Gemm + Add of a constant [N], and MatMul + Add likewise, become one Gemm. An input read transposed is transposed.

    Shapes: x f32[M,K]; W f32[N,K]; b f32[N].
    Skips:  a weight or bias that is computed at run time; a bias that varies over the rows; MatMul of rank 3 and more
        (a transformer's linear layers).
    """
    made = for_each(model, ("MatMul",), _from_matmul)
    normalized = for_each(model, ("Gemm",), _normalize)
    return for_each(model, ("Add",), _merge_add) or normalized or made


def _from_matmul(node: ir.Node) -> bool:
    source, weight = node.inputs[0], constant(node.inputs[1])
    shape = shape_of(source)
    if source is None or weight is None or shape is None or len(shape) != 2 or weight.ndim != 2:
        return False
    graph, name = graph_of(node), node.inputs[1].name or "weight"  # type: ignore[union-attr]  # it is a constant
    bias = np.zeros(weight.shape[1], weight.dtype)
    inputs = [source, new_constant(graph, name, weight.T), new_constant(graph, f"{node.outputs[0].name}_bias", bias)]
    substitute(node, [new_node("Gemm", inputs, {"transB": 1}, of=node, shape=(shape[0], weight.shape[1]))])
    return True


def _merge_add(node: ir.Node) -> bool:
    """(x W^T + b) + c = x W^T + (b + c)."""
    for side in (0, 1):
        linear = sole_producer(node.inputs[side], "Gemm")
        added = constant(node.inputs[1 - side])
        if linear is None or added is None or not _is_normal(linear):
            continue
        bias = constant(linear.inputs[2])
        if bias is None or (added.size != 1 and added.shape[-1:] != (added.size,)) or added.size not in (1, bias.size):
            continue
        if shape_of(node.outputs[0]) != shape_of(linear.outputs[0]):
            continue
        set_constant(linear, 2, (bias.astype(np.float64) + added.reshape(-1)).astype(bias.dtype))
        inputs = list(linear.inputs)
        substitute(node, [new_node("Gemm", inputs, {"transB": 1}, of=linear, shape=shape_of(node.outputs[0]))])
        return True
    return False


def _is_normal(node: ir.Node) -> bool:
    ones = float_attribute(node, "alpha", 1.0) == float_attribute(node, "beta", 1.0) == 1.0
    layout = not int_attribute(node, "transA") and int_attribute(node, "transB") == 1
    weight, bias = shape_of(node.inputs[1]), shape_of(node.inputs[2]) if len(node.inputs) > 2 else None
    return ones and layout and weight is not None and bias == weight[:1]


def _transpose_input(node: ir.Node) -> bool:
    source, shape = node.inputs[0], shape_of(node.inputs[0])
    if source is None or shape is None:
        return False
    transpose = new_node("Transpose", [source], {"perm": [1, 0]}, of=node, suffix="transposed", shape=shape[::-1])
    transpose.outputs[0].type = source.type
    graph_of(node).insert_before(node, transpose)
    node.replace_input_with(0, transpose.outputs[0])
    return True


def _normalize(node: ir.Node) -> bool:
    if _is_normal(node):
        return False
    weight = constant(node.inputs[1])
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    bias = constant(node.inputs[2]) if has_bias else np.zeros(1, weight.dtype if weight is not None else None)
    if weight is None or bias is None or bias.shape[-1:] not in ((), (bias.size,)):
        return False
    if int_attribute(node, "transA") and not _transpose_input(node):
        return False
    rows = weight if int_attribute(node, "transB") else weight.T
    alpha, beta = float_attribute(node, "alpha", 1.0), float_attribute(node, "beta", 1.0)
    set_constant(node, 1, (rows.astype(np.float64) * alpha).astype(weight.dtype) if alpha != 1 else rows)
    offset = np.broadcast_to(bias.reshape(-1).astype(np.float64) * beta, (rows.shape[0],)).astype(weight.dtype)
    if has_bias and has_one_use(node.inputs[2]):
        set_constant(node, 2, offset)
    else:
        node.resize_inputs(3)
        node.replace_input_with(2, new_constant(graph_of(node), f"{node.outputs[0].name}_bias", offset))
    for name in ("alpha", "beta", "transA"):
        node.attributes.pop(name, None)
    node.attributes["transB"] = ir.AttrInt64("transB", 1)
    return True
