"""Route the order of a pixel shuffle's channels into the convolution in front of it."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.channels import channels_of, find_writer, has_channel_constants, reorder_constants, reorder_outputs
from edgekit.passes.rewrite import for_each, has_one_use, int_attribute, shape_of, string_attribute


def fold_pixel_shuffle(model: ir.Model) -> bool:
    """DepthToSpace in PyTorch's order of channels (CRD) becomes one in the order that kernels have (DCR).

    The Conv in front of it writes its channels in that order: c * b^2 + i becomes i * C + c. TFLite's operator knows
    DCR alone, and a GATHER of the channels would cut the graph.

    Skips: anything but a Conv and what acts on every channel alike; channels that something else reads.
    """
    return for_each(model, ("DepthToSpace",), _fold)


def _fold(node: ir.Node) -> bool:
    source = node.inputs[0]
    if string_attribute(node, "mode", "DCR") != "CRD" or not has_one_use(source) or shape_of(source) is None:
        return False
    assert source is not None
    writer = find_writer(source)
    if writer is None or int_attribute(writer.linear, "group", 1) != 1:
        return False
    block = int_attribute(node, "blocksize")
    order = np.arange(channels_of(source)).reshape(-1, block * block).T.reshape(-1)
    for each in writer.through:
        if has_channel_constants(each):
            reorder_constants(each, order)
    reorder_outputs(writer.linear, order)
    node.attributes["mode"] = ir.AttrString("mode", "DCR")
    return True
