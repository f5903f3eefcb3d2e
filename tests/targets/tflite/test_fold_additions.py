"""Additions of less than half a step are left out of int8 files, with what was computed for them."""

import numpy as np
from tflite_conformance.execute import distances, emit_proto, run_emitted, stored_inputs
from tflite_conformance.net import Net
from tflite_conformance.quantized import to_qdq

from edgekit.target import Emitted


def added(scale: float, op: str = "Add") -> Emitted:
    """A map and a convolution of it times `scale`; the int8 file computes what ONNX Runtime computes, to one step."""
    net = Net()
    source = net.op("Relu", net.input(1, 4, 5, 5))
    scaled = net.op("Mul", net.conv(source, 4, 4), net.constant(np.full((4, 1, 1), scale)))
    model = to_qdq(net.model(net.op(op, source, scaled)), net.feeds, "int8")
    emitted = emit_proto(model, "tflite-int8")
    outputs = run_emitted(emitted, stored_inputs(emitted, net.feeds), True)
    assert all(distance <= 1 for _, distance in distances(emitted, outputs, model, net.feeds))
    return emitted


def test_a_layer_scaled_to_nothing_is_not_computed():
    for op in ("Add", "Sub"):
        assert not {"ADD", "SUB", "CONV_2D"} & set(added(1e-5, op).operators)


def test_a_layer_that_counts_is_added():
    assert {"ADD", "CONV_2D"} <= set(added(0.5).operators)
