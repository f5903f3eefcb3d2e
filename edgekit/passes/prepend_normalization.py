"""Let a model take raw pixels."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgekit.graph.module_path import MODULE_KEY
from edgekit.passes.rewrite import new_constant

FULL_SCALE = 255.0


def prepend_normalization(model: ir.Model, mean: Sequence[float], std: Sequence[float]) -> ir.Model:
    """A new model whose input is raw pixels 0..255; it normalises them itself.

    x = (pixels - 255 * mean) / (255 * std)

    simplify() then folds the factor, and where the first convolution does not pad also the offset, into that
    convolution.

    Args:
        model: float graph with one input f32[1,C,H,W].
        mean, std: per channel, in units of [0, 1], as Preprocess has them.
    """
    clone = model.clone()
    graph = clone.graph
    pixels = graph.inputs[0]
    if len(mean) != len(std) or pixels.shape is None or pixels.shape[1] != len(mean):
        raise ValueError(f"mean and std have {len(mean)} and {len(std)} channels, the input has shape {pixels.shape}")
    readers = tuple(pixels.uses())

    def per_channel(label: str, values: Sequence[float]) -> ir.Value:
        return new_constant(graph, f"normalization_{label}", np.array(values, np.float32).reshape(1, -1, 1, 1))

    offset = per_channel("mean", [FULL_SCALE * number for number in mean])
    scale = per_channel("scale", [1 / (FULL_SCALE * number) for number in std])
    module = {MODULE_KEY: ""}
    centred = ir.node("Sub", [pixels, offset], name="normalization_centre", metadata_props=dict(module))
    scaled = ir.node("Mul", [centred.outputs[0], scale], name="normalization", metadata_props=dict(module))
    for node in (centred, scaled):
        node.outputs[0].name = f"{node.name}_output"
        node.outputs[0].shape, node.outputs[0].type = pixels.shape, pixels.type
    for user, index in readers:
        user.replace_input_with(index, scaled.outputs[0])
    graph.insert_before(graph[0], [centred, scaled])
    return clone
