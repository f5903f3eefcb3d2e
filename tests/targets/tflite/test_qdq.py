"""QDQ graphs by another tool: onnxruntime's quantize_static lowers to the same integers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from tflite_conformance.execute import distances, emit_proto, run_emitted, stored_inputs
from tflite_conformance.net import Net
from tflite_conformance.quantized import to_qdq

from edgekit.errors import EdgekitError

SHAPE = (1, 3, 12, 12)
ACTIVATIONS = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}


def small_cnn() -> onnx.ModelProto:
    """A strided stem, a residual depthwise-separable block, a concat, a pool and a classifier."""
    net = Net()
    stem = net.op("Relu", net.conv(net.input(*SHAPE), 3, 8, 3, strides=[2, 2]))
    inner = net.op("Relu", net.conv(stem, 8, 8, 3, group=8))
    block = net.op("Add", stem, net.conv(inner, 8, 8))
    pooled = net.op("MaxPool", stem, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    joined = net.op("Relu", net.conv(net.op("Concat", block, pooled, axis=1), 16, 8))
    flat = net.op("Flatten", net.op("GlobalAveragePool", joined))
    return net.model(net.op("Gemm", flat, net.weights(6, 8), net.weights(6), transB=1))


def images(count: int, seed: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return [random.uniform(-1, 1, SHAPE).astype(np.float32) for _ in range(count)]


class Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    def __init__(self) -> None:
        self.feeds: Iterator[dict[str, NDArray[np.float32]]] = iter([{"in0": image} for image in images(8, seed=5)])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self.feeds, None)


def quantized_by_onnxruntime(folder: Path, activation: str, per_channel: bool, **options: object) -> onnx.ModelProto:
    source, result = folder / "float.onnx", folder / "qdq.onnx"
    onnx.save(small_cnn(), source)
    quantize_static(
        source,
        result,
        Images(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=ACTIVATIONS[activation],
        weight_type=QuantType.QInt8,
        **options,
    )
    return onnx.shape_inference.infer_shapes(onnx.load(result), strict_mode=True, data_prop=True)


@pytest.mark.parametrize("activation", ["uint8", "int8"])
@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
def test_a_graph_by_quantize_static_gives_onnx_runtimes_integers(
    tmp_path: Path, activation: str, per_channel: bool
) -> None:
    model = quantized_by_onnxruntime(tmp_path, activation, per_channel)
    emitted = emit_proto(model, "tflite-int8")
    assert "DEQUANTIZE" not in emitted.operators, "it computes in float somewhere"
    assert (emitted.inputs[0].dtype, emitted.outputs[0].dtype) == ("int8", "int8")
    answers = set()
    for image in images(8, seed=6):
        feeds = {"in0": image}
        inputs = stored_inputs(emitted, feeds)
        for delegate in (True, False):
            (output,) = run_emitted(emitted, inputs, delegate)
            answers.add(output.tobytes())
            assert distances(emitted, [output], model, feeds)[0][1] <= 1, delegate
    assert len(answers) >= 8, "eight images, eight answers"


def test_uint8_activations_become_int8_with_the_zero_point_shifted(tmp_path: Path) -> None:
    model = quantized_by_onnxruntime(tmp_path, "uint8", per_channel=True)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    stated = next(node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "in0")
    info = emit_proto(model, "tflite-int8").inputs[0]
    assert constants[stated.input[2]].dtype == np.uint8
    assert info.scale == pytest.approx(float(constants[stated.input[1]]), rel=1e-7)
    assert info.zero_point == int(constants[stated.input[2]]) - 128


def test_weights_with_a_zero_point_are_refused(tmp_path: Path) -> None:
    model = quantized_by_onnxruntime(tmp_path, "int8", per_channel=False, extra_options={"WeightSymmetric": False})
    with pytest.raises(EdgekitError, match="EK301") as refusal:
        emit_proto(model, "tflite-int8")
    assert refusal.value.table is not None
    assert {row[1] for row in refusal.value.table.rows} == {"Conv", "Gemm"}
    assert all("asymmetrically" in row[3] for row in refusal.value.table.rows)


def test_a_part_that_nobody_quantized_stays_in_float_between_the_integer_parts() -> None:
    net = Net()
    hidden = net.op("Relu", net.conv(net.input(*SHAPE), 3, 4, 3))
    model = net.model(net.conv(net.op("Exp", hidden), 4, 4))
    qdq = to_qdq(model, net.feeds, "int8")
    emitted = emit_proto(qdq, "tflite-int8")
    assert emitted.operators == {"CONV_2D": 2, "DEQUANTIZE": 1, "EXP": 1, "QUANTIZE": 1}
    outputs = run_emitted(emitted, stored_inputs(emitted, net.feeds))
    assert distances(emitted, outputs, qdq, net.feeds)[0][1] <= 1


def test_a_kernel_that_int16_lacks_computes_in_float_instead_of_being_refused() -> None:
    net = Net()
    model = net.model(net.op("DepthToSpace", net.input(1, 8, 5, 5), blocksize=2))
    whole = {
        dtype: emit_proto(to_qdq(model, net.feeds, dtype), target)
        for dtype, target in (("int8", "tflite-int8"), ("int16", "tflite-int16x8"))
    }
    assert whole["int8"].operators == {"DEPTH_TO_SPACE": 1}
    assert whole["int16"].operators == {"DEPTH_TO_SPACE": 1, "DEQUANTIZE": 1, "QUANTIZE": 1}


def test_a_softmax_at_a_scale_that_its_kernel_refuses_computes_in_float() -> None:
    net = Net()
    model = to_qdq(net.model(net.op("Softmax", net.input(1, 10, low=-4, high=4))), net.feeds, "int8")
    quantizer = next(node for node in model.graph.node if node.input[0].startswith("softmax"))
    scale = quantizer.input[1]
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == scale)
    stored.CopyFrom(onnx.numpy_helper.from_array(np.array(1 / 255, np.float32), scale))
    emitted = emit_proto(model, "tflite-int8")
    assert {"DEQUANTIZE", "SOFTMAX", "QUANTIZE"} <= set(emitted.operators)
    for _, distance in distances(emitted, run_emitted(emitted, stored_inputs(emitted, net.feeds)), model, net.feeds):
        assert distance <= 1


def test_two_readers_with_different_scales_keep_their_producer_in_float(tmp_path: Path) -> None:
    """What two QuantizeLinear of unlike scales read cannot be one integer tensor."""
    net = Net()
    model = net.model(net.op("Relu", net.input(1, 4)))
    qdq = to_qdq(model, net.feeds, "int8")
    first = next(
        node for node in qdq.graph.node if node.op_type == "QuantizeLinear" and node.input[0].startswith("relu")
    )
    scale = onnx.numpy_helper.from_array(np.array(0.05, np.float32), "other scale")
    qdq.graph.initializer.append(scale)
    zero = first.input[2]
    for op, source, result in (("QuantizeLinear", first.input[0], "other.q"), ("DequantizeLinear", "other.q", "other")):
        qdq.graph.node.append(onnx.helper.make_node(op, [source, "other scale", zero], [result], name=result))
    qdq.graph.output.append(onnx.helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, [1, 4]))
    inferred = onnx.shape_inference.infer_shapes(qdq, strict_mode=True, data_prop=True)
    ort.InferenceSession(inferred.SerializeToString(), providers=["CPUExecutionProvider"])
    emitted = emit_proto(inferred, "tflite-int8")
    assert emitted.operators == {"DEQUANTIZE": 1, "QUANTIZE": 2, "RELU": 1}
    outputs = run_emitted(emitted, stored_inputs(emitted, net.feeds))
    assert all(distance <= 1 for _, distance in distances(emitted, outputs, inferred, net.feeds))


def test_an_activation_with_a_scale_per_channel_is_refused_by_name(tmp_path):
    # NNCF stores the operand of a depthwise convolution so by default (QuantizationParameters.per_channel).
    model = quantized_by_onnxruntime(tmp_path, "int8", per_channel=True)
    quantizer = next(n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] != "in0")
    pair = [n for n in model.graph.node if n.input and n.input[0] in (quantizer.input[0], quantizer.output[0])]
    channels = next(
        int(info.type.tensor_type.shape.dim[1].dim_value)
        for info in model.graph.value_info
        if info.name == quantizer.input[0]
    )
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for old in quantizer.input[1:]:
        wide = np.repeat(arrays[old].reshape(1), channels)
        model.graph.initializer.append(onnx.numpy_helper.from_array(wide, f"{old}_per_channel"))
    for node in pair:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.input[1:] = [f"{name}_per_channel" for name in node.input[1:]]
            node.attribute.append(onnx.helper.make_attribute("axis", 1))
    with pytest.raises(EdgekitError, match="EK301") as raised:
        emit_proto(model, "tflite-int8")
    assert any("per-channel activations" in row[3] for row in raised.value.table.rows)


def test_a_product_that_xnnpack_refuses_is_named() -> None:
    net = Net()
    weight = net.constant(np.array([1e6, 1.0, 1.0, 1.0], np.float32).reshape(4, 1, 1, 1))
    kept = net.op("Conv", net.input(1, 4, 5, 5), weight, group=4)
    model = net.model(net.op("Clip", kept, net.constant(np.float32(-1)), net.constant(np.float32(1))))
    with pytest.raises(EdgekitError, match="EK301") as raised:
        emit_proto(to_qdq(model, net.feeds, "int8"), "tflite-int8")
    assert raised.value.table is not None
    assert any("XNNPACK takes < 256" in row[3] for row in raised.value.table.rows)
