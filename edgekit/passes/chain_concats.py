"""Let a growing concatenation append to the one before it."""

import onnx_ir as ir

from edgekit.passes.rewrite import int_attribute, shape_of

Inputs = tuple[ir.Value | None, ...]


def chain_concats(model: ir.Model) -> bool:
    """Turn Concat(a, b, c) into Concat(Concat(a, b), c) where Concat(a, b) exists.

    DenseNet as torchvision writes it joins all earlier results anew in every layer. As many bytes are written either
    way, but XNNPACK takes at most five inputs, and many narrow ones cost more than one wide one.

    Measured: ai-edge-litert 2.3.0 on x86-64 with AVX2, one thread, float, CPU us of appending 32 channels / of joining
        all results of the block: to 256 at 56x56, 162 / 281; to 480 at 28x28, 95 / 174; to 992 at 14x14, 35 / 152.
    Skips:  concatenations that share no beginning of at least two inputs.
    """
    changed, made = False, dict[tuple[int, Inputs], ir.Value]()
    for node in model.graph:
        rank = len(shape_of(node.outputs[0]) or ())
        if node.op_type != "Concat" or node.domain or not rank:
            continue
        axis, inputs = int_attribute(node, "axis") % rank, tuple(node.inputs)
        ends = (end for end in range(len(inputs) - 1, 1, -1) if (axis, inputs[:end]) in made)
        made.setdefault((axis, inputs), node.outputs[0])
        end = next(ends, None)
        if end is None:
            continue
        rest = inputs[end:]
        node.replace_input_with(0, made[axis, inputs[:end]])
        for index, value in enumerate(rest, 1):
            node.replace_input_with(index, value)
        node.resize_inputs(1 + len(rest))
        changed = True
    return changed
