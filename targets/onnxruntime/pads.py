"""Writing a Pad so that ONNX Runtime leaves it alone where its own fusion is wrong."""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import new_initializer

PAIR = ("QuantizeLinear", "DequantizeLinear")


def keep_pads_apart(model: ir.Model) -> None:
    """Let each constant Pad before a MaxPool name its axes, in place.

    ONNX Runtime's Pad_Fusion (1.13 to 1.31 at least) takes zeros that are padded into the `pads` of the MaxPool behind,
    which pads with minus infinity: negative maps have another maximum then. It skips a Pad that names its axes, and
    what the Pad means is the same.
    """
    graph = model.graph
    for node in graph:
        source = node.inputs[0] if node.op_type == "Pad" and node.domain == "" and len(node.inputs) < 4 else None
        if source is None or source.shape is None or not is_pooled(node.outputs[0]):
            continue
        name = f"{node.outputs[0].name}_axes"
        node.resize_inputs(4)
        node.replace_input_with(3, new_initializer(graph, name, np.arange(len(source.shape), dtype=np.int64)))


def is_pooled(value: ir.Value) -> bool:
    """Whether a MaxPool reads the value, as it is or stored."""
    readers = [reader for reader, _ in value.uses()]
    return any(r.op_type == "MaxPool" or (r.op_type in PAIR and is_pooled(r.outputs[0])) for r in readers)
