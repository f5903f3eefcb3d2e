"""Write lengths and reciprocals in operators that every target has."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import (
    constant,
    float_dtype,
    for_each,
    graph_of,
    int_attribute,
    new_constant,
    new_node,
    shape_of,
    sole_producer,
    substitute,
)


def decompose_norm(model: ir.Model) -> bool:
    """ReduceL2 becomes the Sqrt of a ReduceSum of squares; Reciprocal becomes 1 / x, of a Sqrt x ^ -0.5.

    ReduceL1 is a ReduceSum of sizes, ReduceSumSquare one of squares, ReduceLogSum the Log of one. ReduceLogSumExp is
    m + log(sum(e^(x - m))) with m the largest, which overflows nowhere.

    Skips: unknown shapes.
    """
    changed = [for_each(model, ("ReduceL2",), _length), for_each(model, ("Reciprocal",), _reciprocal)]
    return any([*changed, for_each(model, ("ReduceLogSumExp",), _log_sum_exp), for_each(model, tuple(SUMS), _sum)])


SUMS = {"ReduceL1": ("Abs", ""), "ReduceSumSquare": ("Mul", ""), "ReduceLogSum": ("", "Log")}
"""Operator -> what is done before the sum, and after it."""


def _sum(node: ir.Node) -> bool:
    source, before, after = node.inputs[0], shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if before is None or after is None:
        return False
    first, last = SUMS[node.op_type]
    nodes = []
    if first:
        operands = [source, source] if first == "Mul" else [source]
        nodes.append(new_node(first, operands, of=node, suffix="each", shape=before))
        source = nodes[-1].outputs[0]
    attributes, suffix = {"keepdims": int_attribute(node, "keepdims", 1)}, "sum" if last else ""
    nodes.append(new_node("ReduceSum", [source, *node.inputs[1:]], attributes, of=node, suffix=suffix, shape=after))
    if last:
        nodes.append(new_node(last, [nodes[-1].outputs[0]], of=node, shape=after))
    substitute(node, nodes)
    return True


def _log_sum_exp(node: ir.Node) -> bool:
    source, before, after = node.inputs[0], shape_of(node.inputs[0]), shape_of(node.outputs[0])
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if source is None or before is None or after is None or (len(node.inputs) > 1 and axes is None):
        return False
    listed = range(len(before)) if axes is None else [int(axis) % len(before) for axis in axes.reshape(-1)]
    kept = tuple(1 if axis in listed else size for axis, size in enumerate(before))
    over, shape = (
        new_constant(graph_of(node), f"{node.name}_{name}", np.array(numbers, np.int64))
        for name, numbers in (("axes", list(listed)), ("shape", after))
    )
    largest = new_node("ReduceMax", [source, over], {"keepdims": 1}, of=node, suffix="largest", shape=kept)
    below = new_node("Sub", [source, largest.outputs[0]], of=node, suffix="below", shape=before)
    power = new_node("Exp", [below.outputs[0]], of=node, suffix="power", shape=before)
    total = new_node("ReduceSum", [power.outputs[0], over], {"keepdims": 1}, of=node, suffix="sum", shape=kept)
    log = new_node("Log", [total.outputs[0]], of=node, suffix="log", shape=kept)
    both = new_node("Add", [log.outputs[0], largest.outputs[0]], of=node, suffix="total", shape=kept)
    last = new_node("Reshape", [both.outputs[0], shape], of=node, shape=after)
    substitute(node, [largest, below, power, total, log, both, last])
    return True


def _length(node: ir.Node) -> bool:
    source, before, after = node.inputs[0], shape_of(node.inputs[0]), shape_of(node.outputs[0])
    if before is None or after is None:
        return False
    square = new_node("Mul", [source, source], of=node, suffix="square", shape=before)
    attributes = {"keepdims": int_attribute(node, "keepdims", 1)}
    total = new_node("ReduceSum", [square.outputs[0], *node.inputs[1:]], attributes, of=node, suffix="sum", shape=after)
    substitute(node, [square, total, new_node("Sqrt", [total.outputs[0]], of=node, shape=after)])
    return True


def _reciprocal(node: ir.Node) -> bool:
    source, shape = node.inputs[0], shape_of(node.outputs[0])
    if source is None or shape is None:
        return False
    root = sole_producer(source, "Sqrt")
    number = new_constant(graph_of(node), f"{node.name}_number", np.array(-0.5 if root else 1, float_dtype(source)))
    operands = [root.inputs[0], number] if root else [number, source]
    substitute(node, [new_node("Pow" if root else "Div", operands, of=node, shape=shape)])
    return True
