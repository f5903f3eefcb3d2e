"""What a phone's own build of ONNX Runtime needs: the .ort file and the list of operators."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnxruntime.tools.ort_format_model import create_config_from_models

import edgekit
from edgekit.errors import EdgekitError
from edgekit.target import Emitted
from edgekit.targets.onnxruntime.mobile import OPERATORS_FILE, ORT_FILE, add_mobile_files, required_operators

TARGETS = ("ort-fp32", "ort-int8", "ort-dynamic")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    run = edgekit.export(
        "mobilenet_v3_small", target=TARGETS, input_size="32", samples=16, out=tmp_path_factory.mktemp("b")
    )
    return run.bundles


@pytest.mark.parametrize("target", TARGETS)
def test_the_ort_file_computes_what_the_onnx_file_computes(target, bundles):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    images = np.load(bundles[target] / "golden.npz")["inputs"]
    files = (bundles[target] / name for name in ("model.onnx", ORT_FILE))
    sessions = [ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"]) for file in files]
    wanted, found = (np.concatenate([s.run(None, {"input": i[None]})[0] for i in images]) for s in sessions)
    assert np.abs(found - wanted).max() <= 1e-5 * np.ptp(wanted)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # their tool leaves the file open
@pytest.mark.parametrize("target", TARGETS)
def test_the_list_is_the_one_that_onnxruntimes_own_tool_makes_of_the_ort_file(target, bundles, tmp_path):
    create_config_from_models([bundles[target] / ORT_FILE], tmp_path / "theirs", False)
    theirs = [line for line in (tmp_path / "theirs").read_text().splitlines() if line and not line.startswith("#")]
    assert (bundles[target] / OPERATORS_FILE).read_text().splitlines() == theirs


def test_the_list_is_hashed_and_the_ort_file_whose_bytes_change_is_measured(bundles):
    found = edgekit.bundle.files.read_bundle(bundles["ort-int8"])
    assert OPERATORS_FILE in found.manifest["files"]
    size = (bundles["ort-int8"] / ORT_FILE).stat().st_size
    assert found.manifest["unhashed_files"] == {ORT_FILE: {"size_bytes": size}}


def model(*nodes: onnx.NodeProto, outputs: str = "y") -> onnx.ModelProto:
    image, *results = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 4)) for name in ("x", *outputs))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(helper.make_graph(nodes, "g", [image], results), opset_imports=opsets, ir_version=10)


def test_operators_are_listed_under_the_version_that_last_changed_them():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Clip", ["a"], ["b"]),
        helper.make_node("Gelu", ["b"], ["y"], domain="com.microsoft"),
        helper.make_node("Relu", ["b"], ["c"]),
    ]
    assert required_operators(model(*nodes)) == "ai.onnx;13;Clip\nai.onnx;14;Relu\ncom.microsoft;1;Gelu\n"


def test_a_file_that_the_runtime_refuses_is_named():
    broken = Emitted(b"nonsense", (), (), {})
    with pytest.raises(EdgekitError, match="EK703 ONNX Runtime refused it"):
        add_mobile_files(broken, None, "net")


def test_results_that_are_no_numbers_in_both_files_are_alike():
    """log of half a Gaussian: that is for the gate on the outputs to name."""
    data = model(helper.make_node("Log", ["x"], ["y"])).SerializeToString()
    assert ORT_FILE in add_mobile_files(Emitted(data, (), (), {}), None, "net").beside


@pytest.mark.parametrize("changed", ["y", "z"])
def test_a_file_that_computes_something_else_is_not_handed_over_and_the_output_is_named(changed, monkeypatch):
    def file(operators: dict[str, str]) -> bytes:
        nodes = [helper.make_node(operator, ["x"], [output]) for output, operator in operators.items()]
        return model(*nodes, outputs="yz").SerializeToString()

    right = {"y": "Relu", "z": "Abs"}
    wrong = file({**right, changed: "Neg"})

    def optimized(source: Path, target: Path, kind: str) -> Path:
        target.write_bytes(wrong)
        return target

    monkeypatch.setattr("edgekit.targets.onnxruntime.mobile._optimized", optimized)
    monkeypatch.setattr("edgekit.targets.onnxruntime.mobile.ORT_FILE", "other.onnx")
    with pytest.raises(EdgekitError, match=f"computes another '{changed}'"):
        add_mobile_files(Emitted(file(right), (), (), {}), None, "net")


def test_several_outputs_indices_and_truths_among_them_are_compared_too():
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("ArgMax", ["x"], ["best"], axis=1),
        helper.make_node("Greater", ["x", "y"], ["above"]),
    ]
    proto = model(*nodes)
    proto.graph.output.append(helper.make_tensor_value_info("best", TensorProto.INT64, (1, 1, 4, 4)))
    proto.graph.output.append(helper.make_tensor_value_info("above", TensorProto.BOOL, (1, 3, 4, 4)))
    assert ORT_FILE in add_mobile_files(Emitted(proto.SerializeToString(), (), (), {}), None, "net").beside
