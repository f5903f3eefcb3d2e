"""What stays in float because its numbers are too small for the scale that it would have to share, or that is fixed.

    Concat at the end   a detector's boxes in pixels beside its scores in 0..1: one scale of 160 / 255 makes every score
                        zero. The parts keep scales of their own, and the Concat joins them in float.
    Softmax of many     over the 4,096 places of a heat map each probability is far below 1, and the kernel's step of
                        1/256 holds none of it. It stays in float with what reads it, until the numbers are of usual
                        size.

Decided by the calibrated ranges; nets whose parts are of one size are not touched.
"""

from collections.abc import Mapping

import onnx_ir as ir

from edgekit.quant.observers import Range
from edgekit.quant.operators import is_constant
from edgekit.quant.parameters import FIXED, ActivationType

MOST_UNEVEN: dict[ActivationType, float] = {"int8": 8.0, "int16": 64.0}
"""How many times as wide as a part of a Concat its widest part may be: five of eight bits are left to it, ten of 16."""

LEAST_STEPS = 16
"""Steps of the kernel, 1/256 or 1/32768, that a softmax's largest probability must fill."""

MOVES = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def float_heads(model: ir.Model, ranges: Mapping[str, Range], dtype: ActivationType) -> set[str]:
    """Names of the nodes, where activations are stored as `dtype`."""
    small = LEAST_STEPS * FIXED["Softmax", dtype].scale
    return uneven_concats(model, ranges, MOST_UNEVEN[dtype]) | tiny_softmaxes(model, ranges, small)


def uneven_concats(model: ir.Model, ranges: Mapping[str, Range], ratio: float) -> set[str]:
    """The last Concat of each output where its parts are of unlike size, with what only moves its values afterwards."""
    found: set[str] = set()
    for output in model.graph.outputs:
        behind: list[str] = []
        node = output.producer()
        while node is not None and node.op_type in MOVES and _read_once(node):
            behind.append(str(node.name))
            source = node.inputs[0]
            node = source.producer() if source is not None else None
        if node is not None and node.op_type == "Concat" and _read_once(node) and _is_uneven(node, ranges, ratio):
            found |= {str(node.name), *behind, *_joined(node, ranges, ratio)}
    return found


def _joined(node: ir.Node, ranges: Mapping[str, Range], ratio: float) -> set[str]:
    """Concats in front of an uneven one that are uneven themselves."""
    found: set[str] = set()
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if (
            producer is not None
            and producer.op_type == "Concat"
            and _read_once(producer)
            and _is_uneven(producer, ranges, ratio)
        ):
            found |= {str(producer.name), *_joined(producer, ranges, ratio)}
    return found


def _is_uneven(node: ir.Node, ranges: Mapping[str, Range], ratio: float) -> bool:
    widths = [width for value in node.inputs if value is not None and (width := _width(value, ranges)) is not None]
    return len(widths) > 1 and min(widths) > 0 and max(widths) > ratio * min(widths)


def _width(value: ir.Value, ranges: Mapping[str, Range]) -> float | None:
    """How far a part goes from zero, which every scale holds; None where it was not observed."""
    while str(value.name) not in ranges:
        node = value.producer()
        if node is None or node.op_type not in {*MOVES, "Slice", "Concat"}:
            return 1.0 if node is not None and node.op_type in ("Sigmoid", "Softmax", "Tanh") else None
        if node.op_type == "Concat":
            parts = [_width(part, ranges) for part in node.inputs if part is not None]
            known = [part for part in parts if part is not None]
            return max(known) if known else None
        source = node.inputs[0]
        if source is None or is_constant(source):
            return None
        value = source
    seen = ranges[str(value.name)]
    return max(abs(seen.min), abs(seen.max))


def _read_once(node: ir.Node) -> bool:
    """Whether nothing but one reader, or the graph's output, takes a node's result."""
    result = node.outputs[0]
    return len(list(result.uses())) + result.is_graph_output() == 1


def tiny_softmaxes(model: ir.Model, ranges: Mapping[str, Range], small: float) -> set[str]:
    """Softmaxes whose probabilities are all small, with what reads them until the numbers are of usual size."""
    found: set[str] = set()
    pending = [node for node in model.graph if node.op_type == "Softmax" and _is_tiny(node.outputs[0], ranges, small)]
    while pending:
        node = pending.pop()
        if str(node.name) in found:
            continue
        found.add(str(node.name))
        if all(_is_tiny(value, ranges, small) for value in node.outputs):
            pending.extend(reader for value in node.outputs for reader, _ in value.uses())
    return found


def _is_tiny(value: ir.Value, ranges: Mapping[str, Range], small: float) -> bool:
    """Whether a value is known to stay below `small`; one that was not observed is taken as what it is made of."""
    seen = ranges.get(str(value.name))
    if seen is not None:
        return max(abs(seen.min), abs(seen.max)) < small
    node = value.producer()
    return (
        node is not None
        and node.op_type in MOVES
        and node.inputs[0] is not None
        and _is_tiny(node.inputs[0], ranges, small)
    )
