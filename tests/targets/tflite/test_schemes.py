"""The float schemes: half-precision weights, and int8 weights beside float activations."""

import numpy as np
import onnx
import pytest
from tflite_conformance.decode import OPERATORS, TYPES, operator_versions, parse
from tflite_conformance.execute import distances, emit_proto, run_emitted, stored_inputs
from tflite_conformance.net import Feeds, Net

from edgekit.target import Emitted


def wide_network() -> tuple[onnx.ModelProto, Feeds]:
    """Weights large enough to be worth encoding: Conv, depthwise Conv, Gemm, and a MatMul over tokens."""
    net = Net()
    features = net.op("Relu", net.conv(net.input(1, 3, 8, 8), 3, 48, 3, strides=[2, 2]))
    features = net.op("Relu", net.conv(features, 48, 48, 5, group=48))
    tokens = net.op("Transpose", net.reshape(features, 1, 48, 16), perm=[0, 2, 1])
    tokens = net.op("MatMul", tokens, net.weights(48, 32))
    pooled = net.op("ReduceMean", tokens, net.integers(1), keepdims=0)
    logits = net.op("Gemm", pooled, net.weights(40, 32), net.weights(40), transB=1)
    return net.model(logits), net.feeds


def constants_of(emitted: Emitted) -> dict[str, list[str]]:
    """Operator -> the types of the constants that stand as its weights."""
    model = parse(emitted.data)
    graph = model.subgraphs[0]
    found: dict[str, list[str]] = {}
    for operator in graph.operators:
        name = OPERATORS[model.operatorCodes[operator.opcodeIndex].builtinCode]
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "DEQUANTIZE"):
            weights = graph.tensors[operator.inputs[0 if name == "DEQUANTIZE" else 1]]
            found.setdefault(name, []).append(TYPES[weights.type])
    return found


@pytest.mark.parametrize(
    ("target", "tolerance"), [("tflite-fp32", 1e-5), ("tflite-fp16", 2e-3), ("tflite-dynamic", 5e-2)]
)
@pytest.mark.parametrize("delegate", [True, False], ids=["XNNPACK", "builtin kernels"])
def test_encoded_weights_keep_the_outputs(target: str, tolerance: float, delegate: bool) -> None:
    model, feeds = wide_network()
    emitted = emit_proto(model, target)
    outputs = run_emitted(emitted, stored_inputs(emitted, feeds), delegate)
    ((_, distance),) = distances(emitted, outputs, model, feeds)
    assert distance < tolerance


def test_half_precision_weights_halve_the_file_and_are_widened_when_it_is_loaded() -> None:
    model, _ = wide_network()
    full, half = emit_proto(model, "tflite-fp32"), emit_proto(model, "tflite-fp16")
    assert constants_of(half)["DEQUANTIZE"] == ["FLOAT16"] * 4
    assert len(half.data) < 0.65 * len(full.data)


def test_dynamic_range_weights_are_int8_where_xnnpack_takes_them() -> None:
    emitted = emit_proto(wide_network()[0], "tflite-dynamic")
    assert constants_of(emitted) == {"CONV_2D": ["INT8"] * 3, "DEPTHWISE_CONV_2D": ["FLOAT32"]}
    assert operator_versions(emitted.data)["CONV_2D"] == 5


def test_a_product_of_dynamic_range_is_a_pointwise_convolution_that_old_runtimes_load() -> None:
    """FULLY_CONNECTED with weights per channel is version 12: only runtimes since 2.17 have it."""
    emitted = emit_proto(wide_network()[0], "tflite-dynamic")
    assert "FULLY_CONNECTED" not in emitted.operators
    assert emitted.min_runtime == "2.4.0"


def test_grouped_weights_stay_float_in_dynamic_range() -> None:
    net = Net()
    model = net.model(net.conv(net.input(1, 64, 6, 6), 64, 64, 3, group=2))
    emitted = emit_proto(model, "tflite-dynamic")
    for delegate in (True, False):
        outputs = run_emitted(emitted, stored_inputs(emitted, net.feeds), delegate)
        assert distances(emitted, outputs, model, net.feeds)[0][1] < 5e-2


def test_small_weights_are_not_worth_encoding() -> None:
    net = Net()
    model = net.model(net.conv(net.input(1, 3, 6, 6), 3, 4))
    for target in ("tflite-fp16", "tflite-dynamic"):
        assert constants_of(emit_proto(model, target)) == {"CONV_2D": ["FLOAT32"]}


def test_int8_weights_are_symmetric_with_a_scale_per_output_channel() -> None:
    model = parse(emit_proto(wide_network()[0], "tflite-dynamic").data)
    graph = model.subgraphs[0]
    quantized = [tensor for tensor in graph.tensors if TYPES[tensor.type] == "INT8"]
    assert [len(tensor.quantization.scale) for tensor in quantized] == [tensor.shape[0] for tensor in quantized]
    for tensor in quantized:
        stored = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.int8).reshape(tensor.shape)
        assert set(tensor.quantization.zeroPoint) == {0}
        assert np.abs(stored.reshape(len(stored), -1).astype(int)).max(axis=1).tolist() == [127] * len(stored)
