"""DepthToSpace (pixel shuffle) and SpaceToDepth."""

import numpy as np

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.layout import channels_last
from edgekit.targets.tflite.rules import INT8, lowering

NHWC = channels_last(4)


@lowering("DepthToSpace", ("DEPTH_TO_SPACE", "GATHER"), integer=INT8, same_quant=True)
def lower_depth_to_space(em: Emitter, node: Node) -> None:
    """TFLite's channel order is ONNX's DCR; CRD (torch's pixel_shuffle) is a permutation of the channels away."""
    source, block = node.input(0), int(node.attrs["blocksize"])
    if node.attrs.get("mode", "DCR") == "CRD":
        order = np.arange(source.shape[1], dtype=np.int32).reshape(-1, block * block).T.reshape(-1)
        permuted = em.scratch(source)
        em.write("GATHER", [em.input(source, NHWC), em.parameter(order, "order")], permuted, NHWC, {"axis": 3})
        source = permuted
    em.write("DEPTH_TO_SPACE", [em.input(source, NHWC)], node.output, NHWC, {"blockSize": block})


@lowering("SpaceToDepth", ("SPACE_TO_DEPTH",), integer=INT8, same_quant=True)
def lower_space_to_depth(em: Emitter, node: Node) -> None:
    options = {"blockSize": int(node.attrs["blocksize"])}
    em.write("SPACE_TO_DEPTH", [em.input(node.input(0), NHWC)], node.output, NHWC, options)
