"""High-bias absorption: what a channel never falls below is moved behind its ReLU, into the next layer's bias.

    relu(W1 x + b1) = relu(W1 x + b1 - c) + c      where every W1 x + b1 >= c > 0
    b1' = b1 - c                                    b2' = b2 + W2 c

The channel's range then starts at zero instead of storing c in every element.
Source: Nagel et al. 2019, arXiv:1906.04721, section 4.1.3. They take c from BatchNorm as mean - 3 deviations, ours is
the smallest value that calibration saw, so the identity is exact on those images.
"""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.quant.equalize import is_layer
from edgekit.quant.observers import Range
from edgekit.quant.operators import constant_of
from edgekit.quant.plan import name_of


def absorb_bias(model: ir.Model, ranges: dict[str, Range]) -> bool:
    """Absorb in place; False where nothing is to be absorbed.

    Skips: a layer whose result something else than one Relu reads; a reader of the Relu that is no layer, or that pads
        (the padding is zero before and after, the channel is not).
    """
    changed = False
    for node in model.graph:
        activation = _only_relu(node)
        if activation is None:
            continue
        seen = ranges.get(name_of(activation.outputs[0]))
        readers = [reader for reader, _ in activation.outputs[0].uses()]
        if seen is None or seen.channel_bounds is None or not readers or not all(map(_reads_exactly, readers)):
            continue
        floor = np.maximum(seen.channel_bounds[0], 0.0)
        if floor.any() and not activation.outputs[0].is_graph_output():
            _shift(node, -floor)
            for reader in readers:
                _shift(reader, _response(reader, floor))
            changed = True
    return changed


def _only_relu(node: ir.Node) -> ir.Node | None:
    readers = [reader for reader, _ in node.outputs[0].uses()]
    if not is_layer(node) or not _has_bias(node) or len(readers) != 1 or node.outputs[0].is_graph_output():
        return None
    return readers[0] if readers[0].op_type == "Relu" else None


def _has_bias(node: ir.Node) -> bool:
    return len(node.inputs) > 2 and node.inputs[2] is not None


def _reads_exactly(node: ir.Node) -> bool:
    pads = node.attributes.get_ints("pads", [0]) if node.op_type == "Conv" else [0]
    return is_layer(node) and _has_bias(node) and not any(pads)


def _response(node: ir.Node, operand: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the layer's weights give for an operand that is constant in every position, f64[O]."""
    weight = node.inputs[1]
    assert weight is not None
    rows = constant_of(weight).astype(np.float64)
    rows = rows.reshape(*rows.shape[:2], -1).sum(axis=2)
    groups = node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1
    columns = np.repeat(operand.reshape(groups, -1), len(rows) // groups, axis=0)
    result: NDArray[np.float64] = (rows * columns).sum(axis=1)
    return result


def _shift(node: ir.Node, by: NDArray[np.float64]) -> None:
    bias = node.inputs[2]
    assert bias is not None
    bias.const_value = ir.Tensor((constant_of(bias) + by).astype(np.float32), name=bias.name)
