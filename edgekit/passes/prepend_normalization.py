"""Make normalisation part of the graph: `--fold-normalization`."""

import numpy as np
import onnx_ir as ir

from edgekit.passes.rewrite import MODULE_KEY, new_constant
from edgekit.registry import Preprocess


def prepend_normalization(model: ir.Model, preprocess: Preprocess) -> None:
    """Put y = x / (255 std) - mean / std behind the graph's input, in place, so that it takes raw 0..255 pixels.

    `fold_input_affine` then moves the scale, and where the first convolution does not pad the offset too, into its
    weights.

    Shapes: x, y f32[1,C,H,W]; mean, std f32[C].
    """
    graph = model.graph
    pixels = graph.inputs[0]
    mean, std = (np.array(v, np.float64).reshape(1, -1, 1, 1) for v in (preprocess.mean, preprocess.std))
    scale = new_constant(graph, "normalization.scale", (1 / (255 * std)).astype(np.float32))
    offset = new_constant(graph, "normalization.offset", (-mean / std).astype(np.float32))
    readers = list(pixels.uses())
    scaled = ir.node("Mul", [pixels, scale], name="normalization_mul", metadata_props={MODULE_KEY: "normalization"})
    normalized = ir.node(
        "Add", [scaled.outputs[0], offset], name="normalization_add", metadata_props={MODULE_KEY: "normalization"}
    )
    for node, name in ((scaled, "normalization_scaled"), (normalized, "normalization_output")):
        node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = name, pixels.type, pixels.shape
    for node, index in readers:
        node.replace_input_with(index, normalized.outputs[0])
    graph.insert_before(graph[0], [scaled, normalized])
