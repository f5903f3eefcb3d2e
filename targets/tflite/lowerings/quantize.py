"""QuantizeLinear and DequantizeLinear that are left between integer and float parts of a graph."""

from edgekit.targets.tflite.emitter import Emitter
from edgekit.targets.tflite.graph import Node
from edgekit.targets.tflite.rules import lowering


def legal_quantize(node: Node) -> str | None:
    quant = node.output.quant if node.op == "QuantizeLinear" else node.input(0).quant
    if quant is None:
        return "the scale must be a constant"
    return None if quant.axis is None else "per-channel activations have no TFLite kernel"


@lowering("QuantizeLinear", ("QUANTIZE",), legal=legal_quantize)
def lower_quantize(em: Emitter, node: Node) -> None:
    source = node.input(0)
    em.write("QUANTIZE", [em.input(source)], node.output, em.layout(source))


@lowering("DequantizeLinear", ("DEQUANTIZE",), legal=legal_quantize)
def lower_dequantize(em: Emitter, node: Node) -> None:
    source = node.input(0)
    version = {"int8": (2, "1.14.0"), "int16": (3, "1.15.0")}[source.dtype]
    em.write("DEQUANTIZE", [em.input(source)], node.output, em.layout(source), version=version)
