"""One way to write a convolution."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import constant, for_each, graph_of, new_constant, shape_of


def canonicalize_conv(model: ir.Model) -> bool:
    """Give each Conv all of its attributes (kernel_shape, strides, pads, dilations, group) and a bias input.

    Skips: a Conv whose weight is computed at run time, or whose auto_pad could not be resolved.
    """
    return for_each(model, ("Conv",), _complete)


def _complete(node: ir.Node) -> bool:
    weight, shape = constant(node.inputs[1]), shape_of(node.inputs[1])
    if weight is None or shape is None or "auto_pad" in node.attributes:
        return False
    rank = len(shape) - 2
    defaults = {
        "kernel_shape": list(shape[2:]),
        "strides": [1] * rank,
        "pads": [0] * (2 * rank),
        "dilations": [1] * rank,
    }
    missing = [name for name in defaults if name not in node.attributes]
    for name in missing:
        node.attributes[name] = ir.AttrInt64s(name, defaults[name])
    if "group" not in node.attributes:
        node.attributes["group"] = ir.AttrInt64("group", 1)
        missing.append("group")
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return bool(missing)
    name = (node.inputs[1].name or "conv").removesuffix(".weight") + ".bias"  # type: ignore[union-attr]  # has a weight
    node.resize_inputs(3)
    node.replace_input_with(2, new_constant(graph_of(node), name, np.zeros(shape[0], weight.dtype)))
    return True
