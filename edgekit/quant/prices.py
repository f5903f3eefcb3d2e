"""What an integer graph costs by edgekit/costs.toml: enough to say what a change costs beside the whole."""

from math import prod

import onnx_ir as ir

from edgekit.costs import Tune, price
from edgekit.quant.equalize import is_depthwise, is_layer
from edgekit.quant.operators import is_constant

SMALL_WINDOW = 9


def graph_price(model: ir.Model, tune: Tune | None) -> float:
    """Of one inference, in the table's unit."""
    return sum(node_price(node, tune) for node in model.graph)


def node_price(node: ir.Node, tune: Tune | None) -> float:
    """Of one node; 0 where it is part of another's kernel, or moves data only."""
    elements, pixels = size_of(node.outputs[0])
    if is_layer(node):
        taps = _taps(node)
        if is_depthwise(node):
            form = "layer" if taps == 1 else "depthwise" if taps <= SMALL_WINDOW else "depthwise_5"
            construct = "norm" if form == "layer" else "convolution"
        else:
            construct, form = "convolution", "dense" if taps == 1 or node.op_type == "Gemm" else "window"
        return price(construct, form, elements=elements, pixels=pixels, macs=elements * _columns(node), tune=tune)
    if node.op_type in ("Add", "Sub", "Mul") and not any(map(is_constant, node.inputs)):
        return price("residual", "add", elements=elements, pixels=pixels, tune=tune)
    return 0.0


def size_of(value: ir.Value) -> tuple[int, int]:
    """(elements, pixels) of f32[1, C, H, W]; a vector has one pixel."""
    sizes = [int(size) for size in value.shape or () if isinstance(size, int)]
    return prod(sizes), prod(sizes[2:])


def _columns(node: ir.Node) -> int:
    weight = node.inputs[1]
    assert weight is not None
    sizes = [int(size) for size in weight.shape or () if isinstance(size, int)]
    return prod(sizes[1:])


def _taps(node: ir.Node) -> int:
    weight = node.inputs[1]
    assert weight is not None
    return prod(int(size) for size in (weight.shape or ())[2:] if isinstance(size, int))
