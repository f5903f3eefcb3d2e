"""What a user sees who loads an ort target's file with ONNX Runtime and nothing else: not a word."""

import os
import subprocess
import sys

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper

from edgekit.graph import external_data
from edgekit.passes import prepare_integer, simplify
from edgekit.quant import calibrate, quantize
from edgekit.registry import models
from edgekit.target import EmitOptions, targets
from edgekit.targets.onnxruntime.mobile import ORT_FILE
from edgekit.trace import trace

LOAD = "import onnxruntime, sys; onnxruntime.InferenceSession(sys.argv[1])"
"""As the documentation of ONNX Runtime shows it: no options, its own logging."""

SHAPE = (1, 3, 32, 32)
FILES = [
    ("ort-fp32", None),
    ("ort-dynamic", None),
    ("ort-int8", "float32"),
    ("ort-int8", "int8"),
    ("ort-int8", "uint8"),
]


@pytest.fixture(scope="module")
def floats():
    """MobileNetV3-Small: gates, hard swish, constants beside activations."""
    torch.manual_seed(0)
    return simplify(trace(models.get("mobilenet_v3_small").build().eval(), SHAPE))


@pytest.fixture(scope="module")
def integers(floats):
    ready, images = prepare_integer(floats), np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    return quantize(ready, calibrate(ready, [images]), targets.get("ort-int8").scheme)


@pytest.fixture
def emitted(floats, integers, request):
    name, io = request.param
    target = targets.get(name)
    graph = integers if target.scheme.needs_calibration else floats
    return target.finish(target.emit(graph, target, EmitOptions(io)), None, "net")


def said_about(file):
    """What loading the file prints."""
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", LOAD, str(file)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("emitted", FILES, indirect=True, ids=str)
def test_loading_a_file_prints_nothing(emitted, tmp_path):
    (tmp_path / "model.onnx").write_bytes(emitted.data)
    (tmp_path / ORT_FILE).write_bytes(emitted.beside[ORT_FILE])
    assert said_about(tmp_path / "model.onnx") == ""
    assert said_about(tmp_path / ORT_FILE) == ""


def test_nor_does_a_file_with_its_weights_beside_it(integers, tmp_path, monkeypatch):
    monkeypatch.setattr(external_data, "MOST_BYTES", 10_000)
    target = targets.get("ort-int8")
    emitted = target.emit(integers, target, EmitOptions())
    assert emitted.beside
    for name, data in {"model.onnx": emitted.data, **emitted.beside}.items():
        (tmp_path / name).write_bytes(data)
    assert said_about(tmp_path / "model.onnx") == ""


def test_a_constant_that_came_with_a_foreign_graph_and_that_nothing_reads_is_left_out(tmp_path):
    image, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("image", "result"))
    unread = helper.make_tensor("unread", TensorProto.FLOAT, (2,), (1.0, 2.0))
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["result"])], "net", [image], [result], [unread])
    foreign = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    target = targets.get("ort-fp32")
    for name, data in (
        ("foreign.onnx", foreign.SerializeToString()),
        ("ours.onnx", target.emit(ir.from_proto(foreign), target, EmitOptions()).data),
    ):
        (tmp_path / name).write_bytes(data)
    assert "Removing initializer 'unread'" in said_about(tmp_path / "foreign.onnx")
    assert said_about(tmp_path / "ours.onnx") == ""
