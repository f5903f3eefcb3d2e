"""The line as a user runs it: model x target, every gate, the bundle that is left."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import edgekit
from edgekit.cli import main
from edgekit.errors import EdgekitError
from edgekit.target import targets

FAST = tuple(name for name in targets.names() if name != "tflite-int16x8")  # its kernels are slow: tested below
BUNDLE = {"contract.json", "golden", "golden.npz", "manifest.json", "report.html"}


@pytest.fixture
def export(capsys, settled_arguments, tmp_path):
    """A function that exports and returns (exit code, the JSON document, the folder of bundles)."""

    def run(model: str, *arguments: str, out: Path | None = None):
        folder = out or tmp_path / "build"
        if model != "mobilenet_v3_small":  # it has trained weights, and images of its own
            arguments += tuple(settled_arguments(model))
        code = main(["export", model, *arguments, "--quiet", "--json", "--out", str(folder)])
        return code, json.loads(capsys.readouterr().out), folder / model

    return run


def with_targets(*names: str) -> list[str]:
    return [word for name in names for word in ("--target", name)]


def test_trained_weights_pass_the_gates_of_every_target(export):
    code, document, folder = export("mobilenet_v3_small", *with_targets(*FAST))
    failed = [(t["target"], hop) for t in document["targets"] for hop in t["parity"]["hops"] if not hop["passed"]]
    assert (code, failed) == (0, [])
    for name in FAST:
        files = {file.name for file in (folder / name).iterdir()}
        beside = {"model.ort", "required_operators.config"} if name.startswith("ort") else set()
        assert files == BUNDLE | beside | {"labels.txt", targets.get(name).model_file}
        assert main(["verify", str(folder / name)]) == 0


@pytest.mark.parametrize("model", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "resnet18", "resnet20_cifar"])
def test_settled_networks_pass_the_gates_of_every_target(model, export):
    code, document, _ = export(model, *with_targets(*FAST))
    failed = [(t["target"], hop) for t in document["targets"] for hop in t["parity"]["hops"] if not hop["passed"]]
    assert (code, failed) == (0, [])
    for target in document["targets"]:
        if target["target"] in ("tflite-fp32", "tflite-int8"):
            assert target["delegation"] == {"delegate": "XNNPACK", "partitions": 1, "undelegated": []}
            assert "TRANSPOSE" not in target["operators"]


def test_int16_activations_pass_their_gate(export):
    code, document, _ = export("mobilenet_v3_small", *with_targets("tflite-int16x8"))
    assert code == 0
    (target,) = document["targets"]
    assert [tensor["dtype"] for tensor in (*target["inputs"], *target["outputs"])] == ["int16", "int16"]


def test_the_same_command_gives_the_same_bytes(export, tmp_path):
    made = [export("mobilenet_v3_small", *with_targets("tflite-int8", "ort-int8"), out=tmp_path / n)[2] for n in "ab"]
    for name in ("tflite-int8/model.tflite", "ort-int8/model.onnx"):
        assert (made[0] / name).read_bytes() == (made[1] / name).read_bytes()
    for name in ("tflite-int8/manifest.json", "tflite-int8/contract.json", "tflite-int8/golden.npz"):
        assert (made[0] / name).read_bytes() == (made[1] / name).read_bytes()


def test_both_int8_files_give_the_same_classes(export):
    _, _, folder = export("mobilenet_v3_small", *with_targets("tflite-int8", "ort-int8"))
    files = {"tflite-int8": "model.tflite", "ort-int8": "model.onnx"}
    images = np.load(folder / "tflite-int8" / "golden.npz")["inputs"]
    ours, theirs = (targets.get(name).run(folder / name / file)(images) for name, file in files.items())
    assert np.array_equal(ours["output"].argmax(1), theirs["output"].argmax(1))


@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_the_contract_says_what_the_file_takes(io, export):
    code, _, folder = export("mobilenet_v3_small", *with_targets("tflite-int8"), "--io", io)
    contract = json.loads((folder / "tflite-int8" / "contract.json").read_text())
    assert code == 0
    assert [tensor["dtype"] for tensor in (*contract["inputs"], *contract["outputs"])] == [io, io]
    assert contract["inputs"][0]["shape"] == [1, 80, 80, 3]
    assert ("quantize" in contract["steps"][-1]) == (io != "float32")


def test_folded_normalization_takes_raw_pixels(export):
    code, document, folder = export(
        "mobilenet_v3_small", *with_targets("tflite-fp32", "tflite-int8"), "--fold-normalization"
    )
    contract = json.loads((folder / "tflite-int8" / "contract.json").read_text())
    assert code == 0
    assert contract["preprocess"]["mean"] == [0.0, 0.0, 0.0]
    assert contract["inputs"][0]["scale"] == pytest.approx(1.0)
    assert document["targets"][1]["delegation"]["partitions"] == 1


def test_a_gate_that_fails_leaves_its_numbers_and_no_file(capsys, photographs, tmp_path):
    # Fresh weights without settled statistics: all logits fall into one integer step.
    options = ["--weights", "random", "--input-size", "64", "--calibration", str(photographs), "--quiet"]
    code = main(["export", "mobilenet_v3_small", *options, "--target", "tflite-int8", "--out", str(tmp_path)])
    error = capsys.readouterr().err
    folder = tmp_path / "mobilenet_v3_small"
    assert code == 1
    assert error.startswith("EK501 the hop simplified -> quantized of tflite-int8")
    assert {file.name for file in folder.iterdir()} == {"tflite-int8.failed"}
    assert {file.name for file in (folder / "tflite-int8.failed").iterdir()} == {"manifest.json", "report.html"}


def test_a_graph_that_onnxruntime_quantized_is_lowered_with_its_own_scales(export, photographs, capsys, tmp_path):
    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(np.load(folder / "ort-fp32" / "golden.npz")["inputs"])

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"input": image[None]}

    _, _, folder = export("resnet20_cifar", *with_targets("ort-fp32"))
    theirs = tmp_path / "theirs.onnx"
    options = {"quant_format": QuantFormat.QDQ, "per_channel": True, "activation_type": QuantType.QInt8}
    quantize_static(str(folder / "ort-fp32" / "model.onnx"), str(theirs), Reader(), **options)
    arguments = ["--calibration", str(photographs), "--quiet", "--json", "--out", str(tmp_path / "out")]
    code = main(["export", str(theirs), *with_targets("tflite-int8", "ort-int8"), *arguments])
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    for target in document["targets"]:
        (hop,) = target["parity"]["hops"]
        assert (hop["reference"], hop["agreement"]) == ("onnx", 1.0)
        assert hop["sqnr_db"] is None or hop["sqnr_db"] > 25  # kernels round, the scales are the same; None: equal
    stored = [tensor["scale"] for tensor in document["targets"][0]["inputs"]]
    assert stored == pytest.approx([scale_of_input(theirs)])


def scale_of_input(path: Path) -> float:
    graph = onnx.load(path).graph
    quantizer = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "input")
    return float(next(numpy_helper.to_array(t) for t in graph.initializer if t.name == quantizer.input[1]))


def test_an_interrupted_export_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "edgekit", "export", "mobilenet_v3_small", "--target", "tflite-int8"]
    # A shell's background job, as a CI run may be one, ignores SIGINT and hands that down.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=heeding) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("done resolve"))
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "interrupted; no half-written bundle is left" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_readmes_command_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "mobilenet_v3_small", "--target", "tflite-int8"]) == 0
    captured = capsys.readouterr()
    assert "torch -> tflite-int8 (end to end)" in captured.out
    assert "1 XNNPACK partition, 0 nodes outside" in captured.out
    assert "done calibrate" in captured.err
    bundle = tmp_path / "build" / "mobilenet_v3_small" / "tflite-int8"
    assert (bundle / "labels.txt").read_text().split()[3] == "cat"
    assert main(["verify", str(bundle)]) == 0


HEADS = {
    "feature map": ("x", (1, 8, 16, 16)),
    "pooled map": ("nn.functional.adaptive_avg_pool2d(x, 1)", (1, 8, 1, 1)),
    "rows": ("x.flatten(2)", (1, 8, 256)),
    "map from a classifier": ("x.mean((2, 3)).reshape(1, 2, 2, 2)", (1, 2, 2, 2)),
    "class of every pixel": ("x.argmax(1)", (1, 16, 16)),
}


@pytest.mark.parametrize("head", HEADS)
def test_outputs_of_any_shape_are_compared(head, photographs, tmp_path, capsys):
    expression, shape = HEADS[head]
    init = "def __init__(self):\n        super().__init__()\n        self.conv = nn.Conv2d(3, 8, 3, padding=1)"
    forward = f"def forward(self, x):\n        x = self.conv(x)\n        return {expression}"
    net = f"class Net(nn.Module):\n    {init}\n\n    {forward}\n"
    (tmp_path / "net.py").write_text(f"from torch import nn\n\n\n{net}\n\ndef make():\n    return Net()\n")
    options = [
        "--input-size",
        "16",
        "--calibration",
        str(photographs),
        "--quiet",
        "--json",
        "--out",
        str(tmp_path / "o"),
    ]
    chosen = with_targets("tflite-fp32", "ort-fp32", *(() if "argmax" in expression else ("tflite-int8", "ort-int8")))
    code = main(["export", f"{tmp_path / 'net.py'}:make", *options, *chosen])
    document = json.loads(capsys.readouterr().out)
    assert (code, document["error"]) == (0, None)
    for target in document["targets"]:
        (output,) = target["outputs"]
        wanted = [shape[i] for i in (0, 2, 3, 1)] if output["layout"] == "NHWC" else list(shape)
        assert output["shape"] == wanted


def test_a_failed_gate_raises_in_python(photographs, tmp_path):
    options = {"weights": "random", "input_size": (64, 64), "calibration": photographs, "out": tmp_path}
    run = edgekit.export("mobilenet_v3_small", target="tflite-int8", **options)
    with pytest.raises(EdgekitError, match="EK501"):
        run.raise_for_failures()
