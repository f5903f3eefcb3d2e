"""QuantizeLinear and DequantizeLinear that are left between integer and float parts of a graph."""

from edgekit.targets.tflite.builtins import BUILTINS
from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.rules import INTEGERS, lowering

VERSIONS = {dtype: version for dtype in INTEGERS if (version := BUILTINS["DEQUANTIZE"].version(dtype))}


def legal_quantize(node: Node) -> str | None:
    quant = node.output.quant if node.op == "QuantizeLinear" else node.input(0).quant
    if quant is None:
        return "the scale must be a constant"
    if quant.axis is not None:
        return "per-channel activations have no TFLite kernel"
    stored = node.output.dtype if node.op == "QuantizeLinear" else node.input(0).dtype
    return None if stored in VERSIONS else f"{stored} activations have no TFLite kernel"


@lowering("QuantizeLinear", ("QUANTIZE",), legal=legal_quantize)
def lower_quantize(em: Emitter, node: Node) -> None:
    source = node.input(0)
    em.write("QUANTIZE", [em.input(source)], node.output, em.layout(source))


@lowering("DequantizeLinear", ("DEQUANTIZE",), legal=legal_quantize)
def lower_dequantize(em: Emitter, node: Node) -> None:
    source = node.input(0)
    em.write("DEQUANTIZE", [em.input(source)], node.output, em.layout(source), version=VERSIONS[source.dtype])
