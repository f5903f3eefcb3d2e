"""The writer as a whole: rejections, the file's surface, its bytes, what the delegate takes, what runtimes need."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_conformance.decode import as_text, metadata, operator_versions, parse, tensor_names
from tflite_conformance.execute import emit_proto, run_emitted, stored_inputs
from tflite_conformance.net import Feeds, Net
from tflite_conformance.quantized import to_qdq

from edgekit.errors import EdgekitError
from edgekit.graph.module_path import MODULE_KEY
from edgekit.target import Delegation, EmitOptions, Emitted, targets
from edgekit.targets.tflite.delegate import delegation
from edgekit.targets.tflite.emit import emit
from edgekit.targets.tflite.graph import Quant, Tensor
from edgekit.targets.tflite.lowerings.convolution import is_dense_faster

GOLDEN = Path(__file__).parent / "golden"


def small_network(activation: str = "Relu") -> tuple[onnx.ModelProto, Feeds]:
    """A strided convolution, a depthwise one, a pool and a classifier."""
    net = Net()
    features = net.op(activation, net.conv(net.input(1, 3, 8, 8), 3, 4, 3, strides=[2, 2]))
    features = net.op("Relu", net.conv(features, 4, 4, 3, group=4))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", features))
    logits = net.op("Gemm", pooled, net.weights(5, 4), net.weights(5), transB=1)
    return net.model(logits), net.feeds


def quantized(activation: str = "Relu", dtype: str = "int8") -> tuple[onnx.ModelProto, Feeds]:
    model, feeds = small_network(activation)
    return to_qdq(model, feeds, dtype), feeds


# -- rejections ------------------------------------------------------------------------------------------------------


def refusal_of(proto: onnx.ModelProto, target: str = "tflite-fp32", io: str | None = None) -> EdgekitError:
    with pytest.raises(EdgekitError) as refusal:
        emit_proto(proto, target, io)
    return refusal.value


def test_every_rejected_node_is_listed_at_once_with_its_module() -> None:
    net = Net()
    bent = net.op("Acosh", net.op("Relu", net.op("Tan", net.input(1, 4))))
    picked = net.op("Pow", bent, bent)
    model = ir.from_proto(net.model(picked))
    for node, module in zip(model.graph, ("stem.tan", "stem.act", "head.acosh", ""), strict=True):
        node.metadata_props[MODULE_KEY] = module
    with pytest.raises(EdgekitError) as refusal:
        emit(model, targets.get("tflite-fp32"), EmitOptions())
    error = refusal.value
    assert (error.code, error.what) == ("EK301", "target 'tflite-fp32' cannot lower 3 of 4 nodes")
    assert error.table is not None
    assert error.table.columns == ("node", "op", "module", "reason", "fix")
    assert [row[:4] for row in error.table.rows] == [
        ("tan0", "Tan", "stem.tan", "no lowering rule"),
        ("acosh2", "Acosh", "head.acosh", "no lowering rule"),
        ("pow3", "Pow", "-", "the exponent must be one constant"),
    ]
    assert all("--target ort-fp32" in row[4] for row in error.table.rows)
    assert "head.acosh" in error.where
    assert "stem.tan" in error.where


def test_a_shape_that_nobody_inferred_is_a_rejection() -> None:
    for proto, target in ((small_network()[0], "tflite-fp32"), (quantized()[0], "tflite-int8")):
        del proto.graph.value_info[:]
        error = refusal_of(proto, target)
        assert error.code == "EK301"
        assert error.table is not None
        reasons = [row[3] for row in error.table.rows]
        assert reasons
        assert set(reasons) <= {"the input shape is not static", "the output shape is not static"}


@pytest.mark.parametrize(
    ("target", "io", "choices"),
    [
        ("tflite-fp32", "int8", "use float32"),
        ("tflite-int16x8", "int8", "leave --io out, or use float32"),
        ("tflite-int8", "int16", "use float32 or int8 or uint8"),
    ],
)
def test_an_io_that_the_target_lacks_is_refused_with_the_choices(target: str, io: str, choices: str) -> None:
    error = refusal_of(small_network()[0], target, io)
    assert error.code == "EK302"
    assert choices in error.fix


# -- the surface -----------------------------------------------------------------------------------------------------


def test_inputs_and_outputs_are_of_the_type_that_io_asks_for() -> None:
    model, _ = quantized()
    for io in ("int8", "uint8", "float32"):
        emitted = emit_proto(model, "tflite-int8", io)
        assert [info.dtype for info in emitted.inputs + emitted.outputs] == [io, io]


def test_every_io_gives_the_same_integers() -> None:
    model, feeds = quantized()
    files = {io: emit_proto(model, "tflite-int8", io) for io in ("int8", "uint8", "float32")}
    found = {io: run_emitted(file, stored_inputs(file, feeds))[0] for io, file in files.items()}
    info = files["int8"].outputs[0]
    assert len(np.unique(found["int8"])) > 2
    assert np.array_equal(found["uint8"].astype(int), found["int8"].astype(int) + 128)
    assert info.scale is not None
    assert info.zero_point is not None
    assert np.allclose(found["float32"], info.scale * (found["int8"].astype(np.float32) - info.zero_point), rtol=1e-6)


@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_names_types_and_shapes_in_the_file_are_those_that_are_announced(io: str) -> None:
    emitted = emit_proto(quantized()[0], "tflite-int8", io)
    announced = ([info.name for info in emitted.inputs], [info.name for info in emitted.outputs])
    assert tensor_names(emitted.data) == announced
    assert [name.partition(".")[0] for name in announced[0] + announced[1]] == ["in0", "gemm6"]


def test_an_output_that_had_to_move_keeps_its_name() -> None:
    net = Net()
    rows = net.reshape(net.conv(net.input(1, 3, 4, 6), 3, 8), 1, 8, 24)
    emitted = emit_proto(net.model(rows), "tflite-fp32")
    assert "TRANSPOSE" in emitted.operators
    assert tensor_names(emitted.data)[1] == [rows] == [info.name for info in emitted.outputs]
    names = [tensor.name for tensor in parse(emitted.data).subgraphs[0].tensors]
    assert len(set(names)) == len(names), "the tensor that had the name took another"


def test_an_output_that_is_an_input_or_another_output_has_a_tensor_of_its_own() -> None:
    net = Net()
    source = net.input(1, 7)
    passed, made = net.op("Clip", source), net.op("Relu", source)
    emitted = emit_proto(net.model(passed, made, net.op("Identity", made)), "tflite-fp32")
    announced = [info.name for info in emitted.outputs]
    assert tensor_names(emitted.data) == ([source], announced)
    assert announced == ["clip0.0", "relu1.0", "identity2.0"]
    through, *clamped = run_emitted(emitted, list(net.feeds.values()))
    assert np.array_equal(through, net.feeds[source])
    assert [np.array_equal(values, np.maximum(through, 0)) for values in clamped] == [True, True]


def test_images_lie_channels_last_and_everything_else_in_onnx_order() -> None:
    net = Net()
    image, row = net.input(1, 3, 4, 6), net.input(1, 7)
    emitted = emit_proto(net.model(net.op("Relu", image), net.op("Relu", row)), "tflite-fp32")
    assert [(info.layout, info.shape) for info in emitted.inputs] == [("NHWC", (1, 4, 6, 3)), ("NC", (1, 7))]
    assert [(info.layout, info.shape) for info in emitted.outputs] == [("NHWC", (1, 4, 6, 3)), ("NC", (1, 7))]


# -- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["tflite-fp32", "tflite-fp16", "tflite-dynamic", "tflite-int8", "tflite-int16x8"])
def test_the_same_graph_gives_the_same_bytes_twice(target: str) -> None:
    assert emit_for(target).data == emit_for(target).data


def emit_for(target: str) -> Emitted:
    scheme = targets.get(target).scheme
    model = quantized(dtype=scheme.activation)[0] if scheme.needs_calibration else small_network()[0]
    return emit_proto(model, target)


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    program = "import sys, test_emit; sys.stdout.buffer.write(test_emit.emit_for('tflite-int8').data)"
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONHASHSEED": "1234", "PYTHONPATH": path}
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=True)
    assert made.stdout == emit_for("tflite-int8").data


def test_constants_start_where_kernels_may_load_them_from_a_mapped_file() -> None:
    data = emit_for("tflite-int8").data
    weights = np.frombuffer(data, np.uint8)
    model = schema.Model.GetRootAs(data, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert starts
    assert weights.size > max(starts)
    assert {start % 16 for start in starts} == {0}


def test_the_decoded_file_is_the_golden_text(update_golden: bool) -> None:
    path, text = GOLDEN / "small_int8.txt", as_text(emit_for("tflite-int8").data)
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


# -- delegate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["tflite-fp32", "tflite-int8"])
def test_a_plain_network_is_one_partition_with_nothing_left_over(target: str) -> None:
    assert delegation(emit_for(target)) == Delegation("XNNPACK", 1)


def test_an_undelegated_node_is_named_with_module_reason_and_fix() -> None:
    proto, _ = quantized("HardSwish")
    model = ir.from_proto(proto)
    for node in model.graph:
        if node.op_type == "HardSwish":
            node.metadata_props[MODULE_KEY] = "features.0.2"
    report = delegation(emit(model, targets.get("tflite-int8"), EmitOptions()))
    assert report.partitions == 2
    (left,) = report.undelegated
    assert (left.operator, left.module) == ("HARD_SWISH", "features.0.2")
    assert left.reason == "XNNPACK has no int8 HARD_SWISH"
    assert "ADD + MUL" in left.fix


def test_int16_is_reported_as_not_delegated_at_all() -> None:
    report = delegation(emit_for("tflite-int16x8"))
    assert (report.delegate, report.partitions) == ("none", 0)
    assert "int16" in report.undelegated[0].reason


# -- runtimes --------------------------------------------------------------------------------------------------------


def grouped() -> onnx.ModelProto:
    net = Net()
    return net.model(net.conv(net.input(1, 64, 6, 6), 64, 64, 3, group=2))  # wide enough not to be dense


def test_the_oldest_runtime_follows_from_the_operators_and_stands_in_the_file() -> None:
    oldest = {target: emit_for(target) for target in ("tflite-fp32", "tflite-fp16", "tflite-int8", "tflite-int16x8")}
    oldest["grouped"] = emit_proto(grouped(), "tflite-fp32")
    assert {name: file.min_runtime for name, file in oldest.items()} == {
        "tflite-fp32": "1.6.0",
        "tflite-fp16": "1.15.0",
        "tflite-int8": "1.14.0",
        "tflite-int16x8": "2.4.0",
        "grouped": "2.9.0",
    }
    for file in oldest.values():
        assert metadata(file.data, "min_runtime_version") == file.min_runtime


def test_operators_carry_the_lowest_version_that_has_the_kernel() -> None:
    names = ("CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED")
    for target, expected in (
        ("tflite-fp32", (1, 1, 1, 1)),
        ("tflite-int8", (3, 3, 2, 4)),
        ("tflite-int16x8", (4, 5, 3, 7)),
    ):
        versions = operator_versions(emit_for(target).data)
        assert tuple(versions[name] for name in names) == expected, target


def test_a_file_that_a_flatbuffer_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = small_network()
    monkeypatch.setattr("edgekit.targets.tflite.flatbuffer.MOST_BYTES", 1000)
    with pytest.raises(EdgekitError, match=r"EK303 .*GB, its format holds 2.*tflite-int8"):
        emit(ir.from_proto(onnx.shape_inference.infer_shapes(model)), targets.get("tflite-fp32"), EmitOptions())


# -- groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "inputs", "group", "quantized", "dense"),
    [
        (8, 8, 4, False, True),
        (8, 8, 4, True, True),
        (16, 2, 8, False, False),
        (16, 2, 8, True, True),
        (16, 16, 4, True, False),
        (64, 4, 16, True, False),
        (240, 20, 3, False, False),
        (128, 4, 32, True, False),
    ],
)
def test_groups_narrower_than_a_kernels_tile_are_written_dense(
    outputs: int, inputs: int, group: int, quantized: bool, dense: bool
) -> None:
    quant = Quant(np.ones(outputs, np.float32), np.zeros(outputs, np.int64), 0) if quantized else None
    weights = Tensor("w", (outputs, inputs, 3, 3), "int8" if quantized else "float32", quant)
    assert is_dense_faster(weights, group) == dense


def test_a_channel_shuffle_between_grouped_convolutions_is_one_transpose() -> None:
    net = Net()
    features = net.conv(net.input(1, 6, 4, 5), 6, 18, group=3)
    grouped = net.op("Transpose", net.reshape(features, 1, 3, 6, 4, 5), perm=[0, 2, 1, 3, 4])
    emitted = emit_proto(net.model(net.conv(net.reshape(grouped, 1, 18, 4, 5), 18, 18, 3, group=18)), "tflite-fp32")
    assert emitted.operators["TRANSPOSE"] == 1
