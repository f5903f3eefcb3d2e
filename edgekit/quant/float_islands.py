"""What stays in float although its operator has an integer kernel: the core of attention, sums and guards of divisors.

Integers pay where there are many products per number: in convolutions and fully connected layers. Around them, measured
on Swin-T (benchmarks in TFLite's delegate and onnxruntime):

    MatMul of two activations   3 % of the products; XNNPACK has no int8 kernel, and each refusal cuts the graph in two
    Softmax inside a graph      the same, whatever reads it; and a mask of -100 among scores of +-5 would leave these
                                five steps
    Gelu                        the same
    sums read by float nodes    a residual stream read by LayerNormalization; its range grows with depth, and int8 would
                                round it once per block for nothing: its readers are in float anyway
    guards read by float nodes  the 1e-12 under which no divisor goes (F.normalize): stored in int8 it is 0

Everything that only moves data (windows, heads, shifts, paddings) stays int8, where it moves a quarter of the bytes.
"""

import onnx_ir as ir

from edgekit.quant.operators import QuantRule, activation_bounds, find_rule, is_constant

MOVES = frozenset({"Flatten", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
"""A sum that is only moved on its way to a float node is rounded once, for the move, not at every sum before it."""


def float_islands(model: ir.Model) -> set[str]:
    """Names of the nodes that have an integer kernel and are left in float.

    From the outputs backwards: whether a sum is read in float depends on what its readers do.
    """
    islands: set[str] = set()
    float_readers: set[str] = set()
    for node in reversed(list(model.graph)):
        assert node.name is not None
        rule, in_float = find_rule(node), _is_read_in_float(node, float_readers)
        if rule is None or (node.op_type in MOVES and in_float):
            float_readers.add(node.name)
        elif _never_pays(node) or (in_float and _is_spoiled(node, rule)):
            islands.add(node.name)
            float_readers.add(node.name)
    return islands


def _never_pays(node: ir.Node) -> bool:
    if node.op_type == "Softmax":
        return not node.outputs[0].is_graph_output()
    return node.op_type == "Gelu" or (node.op_type == "MatMul" and not any(map(is_constant, node.inputs)))


def _is_spoiled(node: ir.Node, rule: QuantRule) -> bool:
    """Whether a result that float nodes read is better left to them: a sum, or a number kept from zero by a Clip."""
    return rule.role == "arithmetic" or (node.op_type == "Clip" and activation_bounds(node)[0] > 0)


def _is_read_in_float(node: ir.Node, float_readers: set[str]) -> bool:
    """Whether all that reads a node's results is in float; the graph's own output is not."""
    readers = [reader for value in node.outputs for reader, _ in value.uses()]
    inside = not any(value.is_graph_output() for value in node.outputs)
    return inside and bool(readers) and all(reader.name in float_readers for reader in readers)
