"""The .onnx files: what ONNX Runtime is given, and that it computes the same."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from torch import nn

from edgekit.errors import EdgekitError
from edgekit.graph.runner import GraphRunner
from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.target import EmitOptions, targets
from edgekit.trace import trace
from edgekit.verify.parity import measure_sqnr_db

IMAGES = np.random.default_rng(3).uniform(-1, 1, (8, 3, 16, 16)).astype(np.float32)


class Net(nn.Module):
    """A convolution, a gate with a constant operand behind it, and two matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.hidden = nn.Linear(16 * 8 * 8, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = nn.functional.hardswish(self.conv(x)) * 0.5
        return self.head(torch.relu(self.hidden(x.flatten(1))))


@pytest.fixture(scope="module")
def graph() -> ir.Model:
    torch.manual_seed(0)
    return simplify(trace(Net().eval(), (1, 3, 16, 16)))


@pytest.fixture(scope="module")
def quantized(graph):
    ready = prepare_integer(graph)
    return quantize(ready, calibrate(ready, [IMAGES]), targets.get("ort-int8").scheme)


def emit(graph, name, io=None):
    target = targets.get(name)
    return target.emit(graph, target, EmitOptions(io))


def outputs(emitted, name, folder):
    file = folder / "model.onnx"
    file.write_bytes(emitted.data)
    [found] = targets.get(name).run(file)(IMAGES).values()
    return found


def computed(graph):
    """What the graph itself gives."""
    [found] = GraphRunner(graph)(IMAGES).values()
    return found


def test_the_float_file_computes_the_graph(graph, tmp_path):
    assert np.array_equal(outputs(emit(graph, "ort-fp32"), "ort-fp32", tmp_path), computed(graph))


def test_the_same_graph_gives_the_same_bytes(graph, quantized):
    assert emit(graph, "ort-fp32").data == emit(graph, "ort-fp32").data
    assert emit(quantized, "ort-int8").data == emit(quantized, "ort-int8").data


def test_activations_are_uint8_and_weights_int8(quantized):
    model = onnx.load_from_string(emit(quantized, "ort-int8").data)
    dtypes = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    stored = [dtypes[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert set(stored) == {onnx.TensorProto.UINT8}
    readers = {name: (node, index) for node in model.graph.node for index, name in enumerate(node.input)}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in dtypes:
            reader, index = readers[node.output[0]]
            expected = {0: "UINT8", 1: "INT8" if reader.op_type in ("Conv", "Gemm") else "UINT8", 2: "INT32"}[index]
            assert dtypes[node.input[0]] == onnx.TensorProto.DataType.Value(expected)


def test_another_zero_point_changes_no_value(quantized, tmp_path):
    difference = np.abs(outputs(emit(quantized, "ort-int8"), "ort-int8", tmp_path) - computed(quantized))
    scale = emit(quantized, "ort-int8", "uint8").outputs[0].scale
    assert difference.max() <= 1.01 * scale  # one step, from the rounding of the integer kernels


def test_the_largest_products_do_not_saturate(tmp_path):
    """255 * 127 twice is more than 16 bits: x86-64 without VNNI needs other kernels than it takes by itself."""
    layer = nn.Conv2d(16, 4, 3)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    white = np.ones((1, 16, 8, 8), np.float32)
    ready = prepare_integer(simplify(trace(layer.eval(), white.shape)))
    emitted = emit(quantize(ready, calibrate(ready, [white]), targets.get("ort-int8").scheme), "ort-int8")
    (tmp_path / "white.onnx").write_bytes(emitted.data)
    [found] = targets.get("ort-int8").run(tmp_path / "white.onnx")(white).values()
    assert found == pytest.approx(16 * 9, rel=0.01)


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_integer_input_and_output_give_the_same_values(quantized, io, tmp_path):
    emitted = emit(quantized, "ort-int8", io)
    assert [info.dtype for info in (*emitted.inputs, *emitted.outputs)] == [io, io]
    floats = outputs(emit(quantized, "ort-int8"), "ort-int8", tmp_path)
    assert np.allclose(outputs(emitted, "ort-int8", tmp_path), floats, atol=1.01 * emitted.outputs[0].scale)


@pytest.mark.parametrize("name", ["ort-fp32", "ort-dynamic"])
def test_a_float_file_has_no_integer_input(graph, name):
    with pytest.raises(EdgekitError, match="EK302"):
        emit(graph, name, "int8")


def test_dynamic_products_are_integers_with_float_activations(graph, tmp_path):
    emitted = emit(graph, "ort-dynamic")
    assert emitted.operators["MatMulInteger"] == 1  # the 64 x 10 head is too small to gain
    assert emitted.operators["Conv"] == 1
    assert len(emitted.data) < 0.45 * len(emit(graph, "ort-fp32").data)
    assert measure_sqnr_db(computed(graph), outputs(emitted, "ort-dynamic", tmp_path)) > 35


def test_every_operator_keeps_its_module(quantized):
    modules = {node.operator: node.module for node in emit(quantized, "ort-int8").nodes if node.operator == "Conv"}
    assert modules == {"Conv": "conv"}


def test_onnxruntimes_own_quantizer_takes_the_float_file(graph, tmp_path):
    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(IMAGES)

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"input": image[None]}

    model = onnx.load_from_string(emit(graph, "ort-fp32").data)
    quantize_static(model, tmp_path / "theirs.onnx", Reader(), quant_format=QuantFormat.QDQ)
    session = ort.InferenceSession(str(tmp_path / "theirs.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"input": IMAGES[:1]})[0].shape == (1, 10)


class PaddedPool(nn.Module):
    """Zeros before a max pooling, on a map of negative numbers."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.conv, self.value = nn.Conv2d(3, 4, 3), value
        nn.init.constant_(self.conv.bias, -3.0)

    def forward(self, x):
        padded = nn.functional.pad(self.conv(x), (0, 1, 0, 1), value=self.value)
        return nn.functional.max_pool2d(padded, 3, 2)


@pytest.mark.parametrize("name", ["ort-fp32", "ort-dynamic", "ort-int8"])
def test_a_plain_session_computes_zeros_before_a_max_pool(name, tmp_path):
    torch.manual_seed(0)
    net = PaddedPool().eval()
    graph = simplify(trace(net, (1, 3, 16, 16)))
    if name == "ort-int8":
        ready = prepare_integer(graph)
        graph = quantize(ready, calibrate(ready, [IMAGES]), targets.get(name).scheme)
    with torch.no_grad():
        expected = net(torch.from_numpy(IMAGES)).numpy()
    assert (expected[:, :, -1] == 0).all(), "the padding wins at the border"
    for computed_by in (outputs(emit(graph, name), name, tmp_path), computed(graph)):
        assert measure_sqnr_db(expected, computed_by) > (30 if name == "ort-int8" else 100)


def test_the_lowest_value_before_a_max_pool_is_quantized():
    graph = prepare_integer(simplify(trace(PaddedPool(float("-inf")).eval(), (1, 3, 16, 16))))
    assert "Pad" not in [node.op_type for node in graph.graph]
    stored = quantize(graph, calibrate(graph, [IMAGES]), targets.get("ort-int8").scheme)
    assert measure_sqnr_db(computed(graph), computed(stored)) > 30


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"not a model")
    with pytest.raises(EdgekitError, match="EK703 ONNX Runtime refused it") as refused:
        targets.get("ort-fp32").run(file)
    assert "\n" not in refused.value.what
