"""Residual expansion: weights as the sum of two int8 tensors, which is as good as 15 bits.

    W ~ W1 + W2      W1 = what W is stored as      W2 = W - W1, stored with the scales of its own, 254 times finer
    W x + b = (W1 x + b) + W2 x

Beside int16 activations the weights are nearly all of the error: rounding them in the best way leaves a network of
fifty layers at 30 to 34 dB. TFLite has no kernel with int16 weights, but any number of kernels with int8 ones, so a
layer becomes two layers and an addition, at twice its weights and its time.
Source: Yvinec et al. 2022, REx, arXiv:2203.14645.
"""

from collections.abc import Iterable
from dataclasses import replace

import onnx_ir as ir

from edgekit.quant.layers import ConstantLayer
from edgekit.quant.observers import Range
from edgekit.quant.operators import ACTIVATIONS, activation_bounds
from edgekit.quant.plan import name_of
from edgekit.quant.rewrite import add_constant, replace_node
from edgekit.quant.weights import quantize_weight


def expand(model: ir.Model, layers: Iterable[ConstantLayer]) -> list[ir.Node]:
    """Expand these layers of a float graph in place; it computes what it did.

    Returns:
        The additions.
    """
    nodes = {node.name: node for node in model.graph}
    return [_expand(model.graph, nodes[layer.name], layer) for layer in layers]


def tighten(additions: list[ir.Node], ranges: dict[str, Range]) -> None:
    """Narrow the ranges of first halves in front of an activation, in place.

    What the activation cuts off, an int16 first half may cut off as well, as far as the second half cannot bring it
    back: [low - m, high + m], m the largest of the second half. Channels that differ by a thousand need it.
    """
    for addition in additions:
        readers = [reader for reader, _ in addition.outputs[0].uses()]
        first, rest = (ranges.get(name_of(value)) for value in addition.inputs if value is not None)
        if len(readers) != 1 or readers[0].op_type not in ACTIVATIONS or first is None or rest is None:
            continue
        low, high = activation_bounds(readers[0])
        margin = 2 * max(-rest.min, rest.max)
        bounds = (max(first.min, low - margin), min(first.max, high + margin))
        ranges[name_of(addition.inputs[0])] = replace(first, min=bounds[0], max=max(bounds))  # type: ignore[arg-type]


def _expand(graph: ir.Graph, node: ir.Node, layer: ConstantLayer) -> ir.Node:
    weight = node.inputs[1]
    assert weight is not None
    kept = quantize_weight(layer.weight, layer.axis).dequantize()
    first = add_constant(graph, f"{weight.name}.first", kept)
    rest = add_constant(graph, f"{weight.name}.rest", layer.weight - kept)
    halves = [_copy(node, first, node.inputs[2:], "first"), _copy(node, rest, (), "rest")]
    total = ir.node("Add", [half.outputs[0] for half in halves], name=f"{node.name}.sum")
    replace_node(graph, node, [*halves, total])
    return total


def _copy(node: ir.Node, weight: ir.Value, bias: Iterable[ir.Value | None], suffix: str) -> ir.Node:
    inputs, name = [node.inputs[0], weight, *bias], f"{node.name}.{suffix}"
    copy = ir.node(node.op_type, inputs, attributes=dict(node.attributes), name=name)
    copy.outputs[0].name = f"{node.outputs[0].name}.{suffix}"
    return copy
