"""Model files without a bundle: what is fed to them, and what is said of files that cannot be run."""

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

from edgekit.bench.subject import find_subject
from edgekit.errors import EdgekitError
from edgekit.target import targets
from edgekit.targets.tflite.flatbuffer import pack_model


def onnx_file(path, op="Relu", domain="", shape=(1, 3, 8, 8)):
    value = helper.make_tensor_value_info
    node = helper.make_node(op, ["x"], ["y"], domain=domain)
    inputs, outputs = [value("x", TensorProto.FLOAT, shape)], [value("y", TensorProto.FLOAT, None)]
    imports = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(helper.make_graph([node], "g", inputs, outputs), opset_imports=imports), path)
    return path


def custom(data):
    """The file with its first operator's kind taken for another program's."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    code = model.operatorCodes[0]
    code.customCode, code.builtinCode, code.deprecatedBuiltinCode = b"MyOp", 32, 32
    return pack_model(model)


def test_a_folder_is_a_bundle_and_a_file_is_itself(bundle_folder, tmp_path):
    bundle = find_subject(bundle_folder)
    file = tmp_path / "alone.tflite"
    file.write_bytes(bundle.file.read_bytes())
    alone = find_subject(file)
    assert (alone.model, alone.target, alone.sha256) == ("alone", "tflite", bundle.sha256)
    assert alone.runtime is targets.get(bundle.target).runtime
    assert len(alone.inputs) == len(bundle.inputs)
    assert len(np.unique(np.frombuffer(alone.inputs, np.int8))) > 100
    assert bundle.nodes
    assert alone.nodes == ()


def test_an_onnx_file_is_fed_what_it_takes(tmp_path):
    subject = find_subject(onnx_file(tmp_path / "net.onnx"))
    assert len(subject.inputs) == 4 * 3 * 8 * 8
    assert subject.inputs == find_subject(tmp_path / "net.onnx").inputs


@pytest.mark.parametrize(
    ("name", "options", "code", "said"),
    [
        ("x86.onnx", {"op": "Conv", "domain": "com.microsoft.nchwc"}, "EK703", "laid the graph out for an x86 CPU"),
        ("own.onnx", {"op": "Thing", "domain": "mine"}, "EK703", "no operator mine:Thing"),
        ("open.onnx", {"shape": ("n", 3, 8, 8)}, "EK203", "a dimension of the input is open"),
    ],
)
def test_onnx_files_that_cannot_be_run_elsewhere(tmp_path, name, options, code, said):
    with pytest.raises(EdgekitError, match=said) as raised:
        find_subject(onnx_file(tmp_path / name, **options))
    assert (raised.value.code, raised.value.where) == (code, str(tmp_path / name))


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (custom, "EK703", "no operator MyOp"),
        (lambda data: data[:1000], "EK202", "no TensorFlow Lite file"),
        (lambda data: b"", "EK202", "it has no TFL3 at its start"),
        (lambda data: data[:8] + b"\xff" * 200, "EK202", "no TensorFlow Lite file"),
    ],
)
def test_tflite_files_that_cannot_be_run(bundle_folder, tmp_path, change, code, said):
    file = tmp_path / "other.tflite"
    file.write_bytes(change((bundle_folder / "model.tflite").read_bytes()))
    with pytest.raises(EdgekitError, match=said) as raised:
        find_subject(file)
    assert (raised.value.code, raised.value.where) == (code, str(file))


@pytest.mark.parametrize(("name", "code"), [("net.pb", "EK106"), ("nowhere.tflite", "EK102"), ("nowhere", "EK102")])
def test_what_is_no_file_of_a_runtime_is_told(tmp_path, name, code):
    with pytest.raises(EdgekitError) as raised:
        find_subject(tmp_path / name)
    assert raised.value.code == code
