"""What stays in float although its operator has an integer kernel: the core of attention, and sums between float nodes.

Integers pay where there are many products per number: in convolutions and fully connected layers. Around them, measured
on Swin-T (benchmarks in TFLite's delegate and onnxruntime):

    MatMul of two activations   3 % of the products; XNNPACK has no int8 kernel, and each refusal cuts the graph in two
    Softmax before a MatMul     the same; and a mask of -100 among scores of +-5 would leave these five steps
    Gelu                        the same
    sums read by float nodes    a residual stream read by LayerNormalization; its range grows with depth, and int8 would
                                round it once per block for nothing: its readers are in float anyway

Everything that only moves data (windows, heads, shifts, paddings) stays int8, where it moves a quarter of the bytes.
"""

import onnx_ir as ir

from edgekit.quant.operators import find_rule, is_constant


def float_islands(model: ir.Model) -> set[str]:
    """Names of the nodes that have an integer kernel and are left in float.

    From the outputs backwards: whether a sum is read in float depends on what its readers do.
    """
    found: set[str] = set()
    for node in reversed(list(model.graph)):
        rule = find_rule(node)
        if rule is not None and (_never_pays(node) or _is_read_in_float(node, rule.role, found)):
            assert node.name is not None
            found.add(node.name)
    return found


def _never_pays(node: ir.Node) -> bool:
    return node.op_type == "Gelu" or (node.op_type == "MatMul" and not any(map(is_constant, node.inputs)))


def _is_read_in_float(node: ir.Node, role: str, found: set[str]) -> bool:
    """Whether a sum, product or Softmax goes to float nodes only; a Softmax at least to a MatMul that is one."""
    if role != "arithmetic" and node.op_type != "Softmax":
        return False
    readers = [reader for reader, _ in node.outputs[0].uses()]
    islands = [reader.name in found for reader in readers]
    if node.op_type == "Softmax":
        return any(islands)
    in_float = [island or find_rule(reader) is None for reader, island in zip(readers, islands, strict=True)]
    return bool(readers) and all(in_float) and not node.outputs[0].is_graph_output()
